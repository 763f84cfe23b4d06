// Package match finds the subscriptions that want a change, at a cost that does not depend on how many
// subscriptions there are.
//
// An Index is a hash table from a tenant, a row of the catalog and a canonical subscription path to Targets, and
// another from ids to them. A change's path gives the few subscription paths that could see it
// (catalog.Watchers); each is one look-up. Nothing is scanned. What is left of a dependence on their number is
// the memory: a look-up among a million waits for it three times. FindAll looks up the changes of a frame side by
// side, so that they wait together.
//
// Find visits a target at most once for a change, however many of the change's paths it is visible under, and
// never one of another tenant or row: these are compared, where the path is taken for its 128-bit hash.
//
// # Conditions
//
// A target may be restricted to what a filter or a search means (catalog.Selection); equal ones of a row are one in
// memory. They are asked last, of the change's data, which is the whole resource as it is now: what publishers leave
// out is null. Without a condition nothing is paid for there being some.
//
// Where the row says so, what comes to meet the filter is told as created, what no longer does as deleted, and what
// still does as updated (contract 18.7). For that a target has a memory, which is no state of its own but what the log
// says: a resource is inside when its last change, among those accepted since the subscription was made, met the
// filter. So there is nothing to write and nothing to lose:
//
//   - Each change is noted once, by its position in the log; to find it again, after a crash or for a resend, changes
//     nothing, and gives the verdict that it had: asked about a position, a memory answers from what stands before it.
//   - After a start, frames that were delivered long ago are given to Recall, and KnownSince says how far back they
//     reach.
//   - A resource of which nothing is known is outside: a change that meets the filter is created, and one that does not
//     is not told. But where the subscription is older than what is known, or met by more resources than a memory holds
//     (16,384, and the last 1,024 comings and goings), it may be inside: a change that finds it outside is then told
//     as deleted, once. A deletion too many is harmless; one that is missing is never made good.
//   - A deletion says little of what the resource was like. It is told when the resource was inside, or when its data
//     meets the filter; and, where there is no memory to ask, when it has nothing that the filter reads.
//
// A renewed target goes on with the memory of the one before it.
//
// # Concurrency
//
// An Index may be read and written at once. Targets are not changed once they are in it: a renewal puts another
// in the place of the old one, so that a reader sees the one or the other and never neither. A visit happens
// outside all locks and may call the Index again. What a Find that runs beside a Put or a Remove sees of it is
// either; a Find that starts after it has returned sees it. Only the changes of one tenant must be found one after the
// other, in the order of the log, where memories are to be right.
package match
