// Package owner says which node of a cluster works which partition: one at a time, each about as many as the others,
// none without a node for longer than it takes to notice that one has gone.
//
// # What is written
//
// Two kinds of notes, in a store that keeps what a majority has and that compares and sets:
//
//	node.<name>     a node's beat: its run (one start of a process), and what it tells the others
//	owner.<number>  who has a partition: a node and its run, or nobody
//
// # A lease
//
// A node writes its note twice a second, each time in the place of the one that it wrote before. It may work for as long
// after a beat was sent as Lease says, by its own clock, which is never set: then it stops by itself, POSTs under way
// included. Beats that get through again let it go on, as long as nobody has ended its run meanwhile.
//
// Who has not seen a new beat of a node for longer than its lease, and can write himself, ends its run: by a note in the
// place of the last beat that he saw. The store refuses that when there was another beat, and it refuses the next beat
// when there was not: so either the node lives, or it knows that it does not. Its lease is over in both cases, because it
// was sent before it was seen. No clocks are compared.
//
// Partitions whose owner's run has ended are taken by the node whose turn it is (plan.go), each in the place of the
// note that was there. What their new owner writes has a new epoch, which the store compares at every write of theirs:
// what a node of before had on its way is refused.
//
//	           beat                beat refused, its run was ended
//	nothing ─────────► leads ──────────────────────────────────────► nothing
//	                   │   ▲
//	   lease is over   │   │ a beat got through
//	                   ▼   │
//	                  paused
//
// # What it does not do
//
// A process that is stopped between the look at its lease and the write to a socket (SIGSTOP, a machine that sleeps) may
// finish that write when it wakes, after its partition has moved. Nobody but the receiver could refuse that; the
// notification has the id that its new owner sends too.
package owner
