// Package engine keeps everything that must outlive the process: the change log, the backlog of ill endpoints
// and the records of subscriptions. It is the only package that knows NATS JetStream.
//
// # Two homes
//
// Without an address the engine runs a NATS server inside the process: no port, one file store below
// [Options].Dir, one process at a time. With [Options].NATS it uses an existing one, best through an account of
// its own: the streams are called changes, backlog, meta and KV_subscriptions-0 and on, and a stream of such a
// name that is not Heliograph's is refused. Both homes run the same code.
//
// # What survives
//
// When Append, Park, Commit or SaveCursor return without an error, what they were given is on disk, synced, and
// survives kill -9 and a power cut. When they fail with heliograph.Unavailable, heliograph.Full or the context's
// error, nobody knows: the write may be there or not, all of it or nothing. With any other error nothing was
// written.
//
// An existing NATS may sync later than it answers; a power cut then takes acknowledged changes and even the
// streams with it. It is refused unless Options.AcceptLazySync says that this is known. NATS tells its sync mode
// to the system account only, so it is asked with $SYS.REQ.SERVER.PING.JSZ, which the system account has to
// export to Heliograph's. When nobody answers, the mode counts as lazy: a promise that nobody can check is not
// given, and an operator who knows better says so once.
//
// # The data folder
//
//	heliograph.json   what this folder is: {"schema":2,"mode":"standalone"}
//	heliograph.lock   locked while a process has the folder open
//	jetstream/        the NATS server's
//
// The folder is for its owner only (0700). A folder with other things in it, of another mode or of a newer
// schema is refused and left as it was; others may put their files beside these once Open has returned.
//
// # Streams
//
//	changes                 changes.<partition>            one message is one frame (package frame), sealed
//	backlog                 backlog.<hash of endpoint>     one message is one list of parked refs, its URL in a header;
//	                                                       both sealed
//	KV_subscriptions-<n>    $KV.subscriptions-<n>.<tenant>.<name>   the newest value of each record, sealed
//	meta                    meta.settings, meta.cursor.<partition>
//
// All of a tenant is in one partition and in one shard: FNV-1a (64 bits) of its id, modulo their number. The two
// numbers are fixed at the first start and kept in meta.settings.
//
// A deleted record leaves a marker, so that watchers hear of it. The marker removes itself after an hour (a TTL
// on this one message), which bounds what a cycle of create and delete leaves behind; values never expire. A
// watcher that was cut off for half an hour ends with ErrLostTrack instead of overlooking deletions.
//
// # Sealed
//
// What subscribers and publishers said is on disk only as [Options].Vault has sealed it, under its subject as the label:
// what is moved to another subject cannot be read there. Who reads the disk learns tenants, the names of records (hashes
// and ids), how many endpoints have a backlog, and sizes and times. Who can write to it can leave things out, and put
// back an older value of the same record.
//
// The settings hold a witness, sealed too: with other keys, or none, Open fails and has changed nothing. A store that is
// not sealed stays so; one that is cannot be opened otherwise. After the keys were rotated, [Engine.Reseal] seals records
// and the witness anew; frames and lists of the old key go within the time that the log is kept, and until then it is
// needed. What was sealed with a key that this process does not have (yet) is an error of kind heliograph.Unavailable,
// and never passed over as damaged.
//
// # Concurrency
//
// An Engine may be used by many goroutines. Appends to one partition take turns: what is one producer's is
// numbered without a hole, so that a reader notices when the store lost a frame. Group many changes into one
// Append: each costs an fsync.
package engine
