// Package subscribe is the way of a subscription: what a client may ask for, the proof that an endpoint is
// its own, what is kept, and when that ends.
//
// # The way
//
// Create judges a request by createRules, a list in the order of contract 3.1.4 in which every rule is a pure
// function; looks for a twin; has every endpoint echo a token (prove.go); and commits the subscription
// together with its uniqueness record, all or nothing, so that of many equal requests at once exactly one
// wins. Update does the same with updateRules and compare-and-set. An answer is given only when this node's
// index has the change: a client that publishes after its 201 is heard.
//
// # What is kept
//
// Records of the subscription's tenant, written and removed together:
//
//	sub.<id>          the subscription (package record)
//	uniq.<hash>       the id of the subscription that holds this application, creator, change types and resource
//	quota.<hash>      how many subscriptions have a place in a quota, as a decimal number
//	quota.all.<hash>  the tenant's part of a quota that is counted over all tenants
//	access.<hash>     a report of lost access that stands, as JSON (package access)
//
// The records are the truth. The Registry is their image in memory, fed by the engine's watch: by id, by
// application and by user for lists, by expiry. Get, Update and Delete read the records themselves.
//
// # Quotas
//
// A subscription takes a place in each quota of its row that is for its like (quota.go). Its record and all the
// counters change in one commit that compares and sets every one of them, so that of many creates at a limit as many
// succeed as there is room for, on any number of nodes, and a crash leaves nothing that does not add up. On one node
// a tenant's creates, deletes and expiries stand in one line, and those that wait go together in one commit
// (transact.go): they share counters, and would otherwise have to win them from each other one by one.
//
// # Who sees what
//
// An application's token sees the application's subscriptions in its tenant, a user's token those that this
// user made through this application; everything else is not found (contract 6.5, 6.6, 7.15). Only a list shows
// more, to users with Subscription.Read.All (contract 6.7 to 6.9).
//
// Service, Registry and Handshakes are safe for concurrent use.
package subscribe

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/clock"
)

// Store keeps records. Its errors are of the kinds NotFound and Conflict where they should be.
type Store interface {
	Get(ctx context.Context, tenant heliograph.TenantID, name string) (heliograph.Record, error)
	// Commit makes all writes or none, and returns a revision that Index can wait for.
	Commit(ctx context.Context, tenant heliograph.TenantID, writes []heliograph.Write) (uint64, error)
}

// Index is what changes are matched against on this node, the Registry included.
type Index interface {
	// Wait returns once everything up to the tenant's revision has been applied.
	Wait(ctx context.Context, tenant heliograph.TenantID, revision uint64) error
}

// Endpoints speaks with receivers.
type Endpoints interface {
	// CheckURL says why no call may go to a URL, as a *heliograph.Error whose message a caller may read.
	CheckURL(raw string) error
	// Exchange makes one call. How it failed, if it did, is in the exchange.
	Exchange(ctx context.Context, call Call) Exchange
}

// Notices take lifecycle notifications on their way.
type Notices interface {
	// Accept returns when the notices, all of one tenant, are on disk. It takes all or none.
	Accept(ctx context.Context, notices []heliograph.Change) error
}

// Options say what a service works with. Down to the clock all are required.
type Options struct {
	Catalog   *catalog.Catalog
	Store     Store
	Index     Index
	Registry  *Registry
	Endpoints Endpoints
	Clock     clock.Clock
	// Strict takes only the permissions of the newest documentation (contract 3.2.2).
	Strict bool
	// ProveRenewals has the endpoints prove themselves at every update, as Graph sometimes does (contract 4.12).
	ProveRenewals bool
	// HostileToken adds characters to the validation token that a receiver with a careless decoder does not
	// give back.
	HostileToken bool
	// TokenKey seals the tokens of list pages; the function of that name keeps one. Without it the key is made anew
	// at each start, and the tokens of before are refused.
	TokenKey []byte
	// Scan tells visit of every record that there is. Recount finds the counters by it that nothing counts any more;
	// without it they stay.
	Scan func(ctx context.Context, visit func(*heliograph.Record)) error
	// Notices is where lifecycle notifications go. Without it nobody hears of anything.
	Notices Notices
	// Owns reports whether this node looks after a tenant's subscriptions; nil: after all. Where several do, owners may
	// be told twice.
	Owns   func(heliograph.TenantID) bool
	Logger *slog.Logger
}

// Service answers for subscriptions.
type Service struct {
	options Options
	profile *catalog.Profile
	plans   plans
	book    *Handshakes
	orders  orders
	turns   turns
	rest    rest // of Tend
}

// New returns a service.
func New(o Options) *Service {
	if len(o.TokenKey) == 0 {
		o.TokenKey = make([]byte, 32)
		_, _ = rand.Read(o.TokenKey) // never fails: crypto/rand ends the program instead
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Owns == nil {
		o.Owns = func(heliograph.TenantID) bool { return true }
	}
	return &Service{options: o, profile: o.Catalog.Profile(), plans: plansOf(o.Catalog), book: newHandshakes()}
}

// Handshakes returns the book of the latest handshakes.
func (s *Service) Handshakes() *Handshakes { return s.book }

// now is the present to the tenth of a microsecond, which is what Graph's times have (contract 1.27).
func (s *Service) now() time.Time { return tick(s.options.Clock.Now()) }

func tick(t time.Time) time.Time { return t.UTC().Truncate(100 * time.Nanosecond) }

// notFound is the answer for what is not there and for what the caller may not see: they look the same.
func (s *Service) notFound() error { return s.profile.Refuse("subscription.not_found", nil) }
