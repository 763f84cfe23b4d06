// Package doctor examines a receiver of change notifications, anybody's, from outside: it sends what Microsoft Graph
// sends, what Graph sends on a bad day and what a stranger may send, and tells from the answers what would go wrong in
// production, why that matters and how to mend it.
//
// The examination is a list (checks.go) in the order of a subscription's life: the handshake, notifications, lifecycle
// notifications, resource data. A check is a function of a visit that ends in a verdict; what it says besides stands with
// it in the list. Verdicts come from what can be seen from outside: whether a receiver believed a forged notification
// behind its 202 is beyond that, and is said so.
//
// All requests go out through package outbound, one after the other except where many at once are the check itself. Every
// wait has a limit, and an endpoint that cannot be reached ends the examination at once.
package doctor

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
	"heliograph.dev/internal/seal"
)

// Caller makes the calls: an *outbound.Client.
type Caller interface {
	Exchange(ctx context.Context, r outbound.Request) outbound.Exchange
}

// Issuer makes validation tokens that a receiver can verify: one for each form of issuer.
type Issuer interface {
	Token(tenant heliograph.TenantID, audience heliograph.AppID) (string, error)
}

// Options say whom to examine.
type Options struct {
	// URL is the notificationUrl, LifecycleURL the lifecycleNotificationUrl; empty: the same.
	URL, LifecycleURL string
	// Subscription is the id of a subscription that the receiver knows. Empty: one is made up, which a receiver that looks
	// its subscriptions up may refuse.
	Subscription string
	// ClientState is what the receiver expects. Empty: none is sent.
	ClientState heliograph.Secret
	// Resource is what notifications are about.
	Resource string
	Tenant   heliograph.TenantID
	// Certificate is what resource data is sealed for, CertificateID its encryptionCertificateId, App the audience of
	// validation tokens; V2 and V1 make them, Stranger makes some that no published key verifies. Without a certificate
	// nothing is sealed.
	Certificate      *seal.Certificate
	CertificateID    string
	App              heliograph.AppID
	V2, V1, Stranger Issuer

	// Patience is how long an answer may take before it is given up. Zero: ten seconds, as long as a retry waits (contract
	// 10.5).
	Patience time.Duration

	Caller Caller
	Now    func() time.Time
	// Saw, which may be nil, is called with each finding as it comes.
	Saw func(Finding)
}

// Verdict is how a check went.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "passed"
	Warned  Verdict = "warned"  // it works, and will cost something
	Failed  Verdict = "failed"  // notifications will be lost, or the subscription cannot be made
	Skipped Verdict = "skipped" // what it needs was not given, or an earlier failure leaves nothing to look at
)

// Finding is the result of one check.
type Finding struct {
	ID      string  `json:"id"`
	Group   string  `json:"group"`
	Title   string  `json:"title"`
	Verdict Verdict `json:"verdict"`
	// Seen is what happened, in words. Of what passed, it may be empty.
	Seen string `json:"seen,omitempty"`
	// Matters says why it matters in production, Mend how to mend it; of what did not pass only.
	Matters string  `json:"matters,omitempty"`
	Mend    string  `json:"mend,omitempty"`
	TookMs  float64 `json:"tookMs"`
	weight  int
}

// Report is what an examination found.
type Report struct {
	URL      string    `json:"url"`
	Started  time.Time `json:"started"`
	Score    int       `json:"score"` // 0 to 100, of the checks that were made, by weight; a warning counts half
	Passed   int       `json:"passed"`
	Warned   int       `json:"warned"`
	Failed   int       `json:"failed"`
	Skipped  int       `json:"skipped"`
	Findings []Finding `json:"findings"`
}

// Examine makes every check and returns what was found.
func Examine(ctx context.Context, o Options) *Report {
	if o.LifecycleURL == "" {
		o.LifecycleURL = o.URL
	}
	o.Patience = cmp.Or(o.Patience, patience)
	v := &visit{Options: o, subscription: o.Subscription}
	if v.subscription == "" {
		v.subscription = heliograph.NewGUID().String()
	}
	r := &Report{URL: o.URL, Started: o.Now()}
	for _, c := range checks() {
		f := v.make(ctx, &c)
		r.add(f)
		if o.Saw != nil {
			o.Saw(f)
		}
	}
	r.score()
	return r
}

func (r *Report) add(f Finding) {
	r.Findings = append(r.Findings, f)
	switch f.Verdict {
	case Passed:
		r.Passed++
	case Warned:
		r.Warned++
	case Failed:
		r.Failed++
	case Skipped:
		r.Skipped++
	}
}

func (r *Report) score() {
	got, most := 0, 0
	for i := range r.Findings {
		f := &r.Findings[i]
		switch f.Verdict {
		case Passed:
			got += 2 * f.weight
		case Warned:
			got += f.weight
		case Failed, Skipped:
		}
		if f.Verdict != Skipped {
			most += 2 * f.weight
		}
	}
	if most > 0 {
		r.Score = 100 * got / most
	}
}

// visit is an examination under way.
type visit struct {
	Options
	subscription string
	lost         string // why nothing more can be seen, once that is so
	slowest      time.Duration
	slowestOf    string
	current      string // title of the check that is being made
}

// seen is what a check makes of what it saw.
type seen struct {
	verdict Verdict
	text    string
	// mend, if set, is more to the point than the check's own.
	mend string
}

func pass(text string) seen { return seen{verdict: Passed, text: text} }
func warn(text string) seen { return seen{verdict: Warned, text: text} }
func fail(text string) seen { return seen{verdict: Failed, text: text} }
func skip(text string) seen { return seen{verdict: Skipped, text: text} }

// or returns the worse of two, the first where they are equally bad.
func (s seen) or(other seen) seen {
	rank := map[Verdict]int{Skipped: 0, Passed: 1, Warned: 2, Failed: 3}
	if rank[other.verdict] > rank[s.verdict] {
		return other
	}
	return s
}

func (v *visit) make(ctx context.Context, c *check) Finding {
	f := Finding{ID: c.id, Group: c.group, Title: c.title, weight: c.weight}
	began := v.Now()
	v.current = c.title
	var s seen
	switch {
	case v.lost != "":
		s = skip(v.lost)
	case c.sealed && (v.Certificate == nil || v.App == ""):
		s = skip("needs the receiver's certificate and its application id")
	default:
		s = c.run(ctx, v)
	}
	f.TookMs = float64(v.Now().Sub(began).Microseconds()) / 1000
	f.Verdict, f.Seen = s.verdict, s.text
	if s.verdict == Warned || s.verdict == Failed {
		f.Matters, f.Mend = c.matters, c.mend
		if s.mend != "" {
			f.Mend = s.mend
		}
	}
	return f
}

const (
	handshakeLimit = 10 * time.Second // contract 4.6
	firstLimit     = 3 * time.Second  // contract 10.4
	patience       = 10 * time.Second
	comfortable    = time.Second
)

// exchange is a call and its answer.
type exchange = outbound.Exchange

// post sends a body to a URL and remembers the slowest answer.
func (v *visit) post(ctx context.Context, url string, body []byte) exchange {
	x := v.Caller.Exchange(ctx, outbound.Request{URL: url, Body: body, Timeout: v.Patience, Header: jsonBody()})
	v.note(&x)
	return x
}

func jsonBody() http.Header { return http.Header{"Content-Type": {"application/json; charset=utf-8"}} }

func (v *visit) note(x *exchange) {
	if x.Attempt.Took > v.slowest {
		v.slowest, v.slowestOf = x.Attempt.Took, v.current
	}
}
