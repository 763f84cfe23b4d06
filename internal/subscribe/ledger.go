package subscribe

import (
	"context"
	"maps"
	"slices"

	"heliograph.dev"
)

// ledger is a tenant's records as one transaction sees them: as the store has them, and over that what the
// transaction wants to write. It is for one goroutine.
type ledger struct {
	store  Store
	tenant heliograph.TenantID
	stored map[string]heliograph.Record // what was looked at; without a revision: it is not there
	next   map[string][]byte            // what is to be written; nil: deleted
}

func newLedger(store Store, tenant heliograph.TenantID) *ledger {
	return &ledger{store: store, tenant: tenant, stored: make(map[string]heliograph.Record), next: make(map[string][]byte)}
}

// get returns a record's value, or nil when there is none.
func (l *ledger) get(ctx context.Context, name string) ([]byte, error) {
	if value, ok := l.next[name]; ok {
		return value, nil
	}
	if r, ok := l.stored[name]; ok {
		return r.Value, nil
	}
	r, err := l.store.Get(ctx, l.tenant, name)
	if err := ignoreNotFound(err); err != nil {
		return nil, err
	}
	if err != nil {
		r = heliograph.Record{}
	}
	l.stored[name] = r
	return r.Value, nil
}

// put writes a record, or deletes it when value is nil. It must have been looked at: what is written rests on that.
func (l *ledger) put(name string, value []byte) { l.next[name] = value }

// undoing calls do and takes back what it has written when it fails.
func (l *ledger) undoing(do func() error) error {
	before := maps.Clone(l.next)
	err := do()
	if err != nil {
		l.next = before
	}
	return err
}

// commit writes what was written, all or nothing, and returns its revision: 0 when nothing was. It is a Conflict
// when anything of it is not any more as it was looked at.
func (l *ledger) commit(ctx context.Context) (uint64, error) {
	var writes []heliograph.Write
	for _, name := range slices.Sorted(maps.Keys(l.next)) {
		value, revision := l.next[name], l.stored[name].Revision
		if value != nil || revision != 0 {
			writes = append(writes, heliograph.Write{Name: name, Value: value, Expect: revision})
		}
	}
	if len(writes) == 0 {
		return 0, nil
	}
	return l.store.Commit(ctx, l.tenant, writes)
}

func ignoreNotFound(err error) error {
	if heliograph.KindOf(err) == heliograph.NotFound {
		return nil
	}
	return err
}
