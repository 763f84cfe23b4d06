package heliograph

// Record is one named value of a tenant, as the engine keeps it.
type Record struct {
	Tenant TenantID
	Name   string
	Value  []byte
	// Revision is what a Write must expect in order to change the record. It grows with every change of any
	// record of the tenant.
	Revision uint64
	// Deleted says that the record is gone: a watcher hears of it once, with no Value.
	Deleted bool
}

// Write is one change of one record. Several of one tenant are taken together or not at all.
type Write struct {
	Name  string
	Value []byte // nil deletes the record
	// Expect is the revision that the record must have, 0 when it must not exist.
	Expect uint64
}
