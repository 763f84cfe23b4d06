// Package heliograph holds the words of Heliograph: what a change, a subscription, a caller and an attempt are, which
// kinds of error there are, and which reasons. Every other package speaks in them. It imports the standard library only,
// knows no network, no files and no clock, and its types are the domain's: what goes over a wire or onto a disk has
// types of its own.
//
// Heliograph is Microsoft Graph's change-notification service as a server that anybody can run. What follows is the tour
// of its code. Numbers such as "contract 5.20" in the code name facts of Graph's behaviour that a rule rests on.
//
// # A change
//
//	POST /publish       a file saved
//	    │                    │
//	 httpapi             source/drive
//	 cloudevents             │
//	    └─────────┬──────────┘
//	              ▼
//	           ingest ──────► engine     a frame of changes, synced: 202
//	                            │
//	              ┌─────────────┘        frames in order, from a cursor
//	              ▼
//	           deliver ─────► match      who wants it?
//	              │             │
//	              │          catalog     which paths is it visible under?
//	              ▼
//	           outbound                  one POST, many notifications
//	              │
//	        ┌─────┴──────┐
//	        ▼            ▼
//	       2xx         retry             when again, or never?
//	        │            │
//	        ▼            ▼
//	       done        engine            parked on disk, drained in order when the endpoint is well
//
// A change comes in over HTTP ([heliograph.dev/internal/httpapi], whose events [heliograph.dev/internal/cloudevents]
// reads by way of [heliograph.dev/internal/rawjson] as [heliograph.dev/internal/batch] does many requests in one, and
// which asks [heliograph.dev/internal/origin] by what name its client knows the server) or from a folder that is
// somebody's drive ([heliograph.dev/internal/source/drive], which waits with [heliograph.dev/internal/source/drive/settle] until a save
// has come to rest). [heliograph.dev/internal/ingest] writes it down together with what comes at the same time: when it
// answers, the change is safe. [heliograph.dev/internal/deliver] reads the log and asks
// [heliograph.dev/internal/match] who wants each change; there is a lane for each endpoint, and what a failure leads to
// is said by [heliograph.dev/internal/retry] alone, and what late answers make of an endpoint by
// [heliograph.dev/internal/health]; [heliograph.dev/internal/deliveries] remembers how it went. [heliograph.dev/internal/outbound] makes the calls: nobody else calls
// where somebody told us to.
//
// In development [heliograph.dev/internal/faults] says what goes wrong on purpose, of calls and of deliveries.
//
// What a notification with resource data tells is said by [heliograph.dev/internal/content]; it is encrypted by [heliograph.dev/internal/seal] and vouched for by
// [heliograph.dev/internal/seal/token]; [heliograph.dev/internal/seal/recent] remembers what was parsed,
// [heliograph.dev/internal/seal/vault] keeps secrets on disk, sealed with [heliograph.dev/internal/seal/xaes] under a key
// of [heliograph.dev/internal/seal/keyfile].
//
// What was published can be read, as it is now, from [heliograph.dev/internal/objects], which folds the log.
//
// What a change of each resource looks like is data in [heliograph.dev/internal/fixture]: an operator can have one made up,
// and it goes the same way.
//
// # A subscription
//
//	request ─► httpapi ─► identity ─► subscribe ─► catalog      which resource, which permission, which limits?
//	                      who is it?      │    └──► rules       a list, in Graph's order
//	                                      ▼
//	                                  outbound                  the handshake with each endpoint
//	                                      │
//	                                      ▼
//	                                   engine ─► watch ─► registry, match
//	                                      │
//	                     renewed, reauthorized ─► told, paused ─► expired or removed
//
// [heliograph.dev/internal/identity] turns a token into a [Caller]; [heliograph.dev/internal/identity/devissuer] gives
// tokens out in development, [heliograph.dev/internal/signin] lets people in who look at the pages, and [heliograph.dev/internal/throttle] says when an application calls too often.
// [heliograph.dev/internal/subscribe] judges, proves the endpoint, keeps the subscription (in
// the form of [heliograph.dev/internal/subscribe/record]), tells its owner what becomes of it and ends it, as
// [heliograph.dev/internal/lifecycle] says when; what reports of lost access mean for it is said by
// [heliograph.dev/internal/access]. What can be subscribed to, and everything else
// that Microsoft changes from time to time, is data in [heliograph.dev/internal/catalog], whose paths
// [heliograph.dev/internal/odata] parses. What a subscription's filter lets through is decided by
// [heliograph.dev/internal/odata/filter], by the values of [heliograph.dev/internal/odata/edm].
//
// # What is kept
//
// [heliograph.dev/internal/engine] keeps what must survive, on NATS JetStream: the log of changes (in the form of
// [heliograph.dev/internal/engine/frame]), the backlog of ill endpoints, and records, all of it sealed; a backup has the form of
// [heliograph.dev/internal/engine/archive]. It is the only package that knows NATS.
//
// Where several servers share a store, each tenant's partition is worked by one of them at a time: which, and for how
// long it may, is what [heliograph.dev/internal/owner] sees to. A node that is out of touch with the others still answers
// who reads, and says by [heliograph.dev/internal/fresh] how old that may be.
//
// # Around it
//
// [heliograph.dev/internal/app] wires all of this in one list and stops it in the opposite order. Time comes from
// [heliograph.dev/internal/clock], so that it can be moved. [heliograph.dev/internal/config] reads what the operator
// says, [heliograph.dev/internal/telemetry] tells what happens, [heliograph.dev/internal/telemetry/trace] what happened
// to one change, [heliograph.dev/internal/pulse] how the last half hour was; [heliograph.dev/internal/pages] shows it to
// people. [heliograph.dev/internal/localca] makes certificates for development, which [heliograph.dev/internal/trust] has a machine trust, and [heliograph.dev/internal/takeover] lets
// a command meet a server by Microsoft's names. [heliograph.dev/cmd/heliograph] is the binary, [heliograph.dev/internal/cli] its commands, [heliograph.dev/internal/listen] the receiver among them, and
// [heliograph.dev/internal/doctor] which examines the receivers of others.
//
// [heliograph.dev/internal/scenario] runs a story from a file against a server; [heliograph.dev/internal/outcome] reads what
// became of a change, and [heliograph.dev/internal/junit] writes results for CI.
//
// Three packages are for programs of others: [heliograph.dev/client] speaks to a server, [heliograph.dev/receiver] is what
// a program needs to receive notifications, and [heliograph.dev/heliographtest] is a server inside a Go test; [heliograph.dev/receiver/renew] keeps its
// subscriptions alive.
//
// What machines read about the API is in [heliograph.dev/docs/reference], beside the pages for people.
//
// Who may import whom is one table in import_test.go. Why things are as they are is in docs/adr, how they hang together
// in docs/design.
package heliograph
