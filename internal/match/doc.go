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
// An Index may be read and written at once. Targets are not changed once they are in it: a renewal puts another
// in the place of the old one, so that a reader sees the one or the other and never neither. A visit happens
// outside all locks and may call the Index again. What a Find that runs beside a Put or a Remove sees of it is
// either; a Find that starts after it has returned sees it.
package match
