package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/faults"
	"heliograph.dev/internal/seal/token"
)

// trouble is where faults happen: only a development server has any.
type trouble struct {
	book    *faults.Book
	now     func() time.Time
	reissue faults.Reissue
}

func (a *App) makeTrouble() {
	a.parts.trouble = &trouble{book: new(faults.Book), now: a.clock.Now, reissue: a.otherForm}
}

// otherForm makes a validation token for whom another is, in the form of issuer that this server does not use. It is
// signed with the same keys.
func (a *App) otherForm(given string) (string, error) {
	parts := strings.Split(given, ".")
	if len(parts) != 3 {
		return "", errors.New("no token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		Tenant   heliograph.TenantID `json:"tid"`
		Audience heliograph.AppID    `json:"aud"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return "", err
	}
	form := token.V1
	if a.cfg.Tokens.Form == "v1" {
		form = token.V2
	}
	tokens, err := token.New(context.Background(), token.Options{
		Form: form, Base: a.tokenIssuer(), Sender: heliograph.AppID(a.cfg.Tokens.Sender), Now: a.clock.Now, Store: token.In(a.parts.engine),
	})
	if err != nil {
		return "", err
	}
	return tokens.Token(claims.Tenant, claims.Audience)
}

// Call holds a call up in real time and returns its refusal, if it is to be refused.
func (t *trouble) Call(ctx context.Context, c faults.Call) error {
	wait, refusal := t.book.OnCall(c)
	if err := hold(ctx, wait); err != nil {
		return err
	}
	return refusal
}

func hold(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// troubled is an endpoint whose POSTs may be hit.
type troubled struct {
	deliver.Receiver
	*trouble
	endpoint heliograph.Endpoint

	mu   sync.Mutex
	held []deliver.Body // told as delivered, sent behind the next
}

// maxHeld bounds what waits for a next POST.
const maxHeld = 16

// Post sends a body, or does to it what the faults say.
func (t *troubled) Post(ctx context.Context, p deliver.Body) heliograph.Attempt {
	hit := t.book.OnPost(t.endpoint)
	if len(hit) == 0 {
		attempt := t.Receiver.Post(ctx, p)
		t.release(ctx)
		return attempt
	}
	attempt := heliograph.Attempt{Endpoint: t.endpoint, Started: t.now(), Reason: heliograph.Delivered, Status: 202, Detail: detail(hit)}
	twice := false
	for i := range hit {
		switch f := &hit[i]; f.Kind {
		case faults.Outage:
			attempt.Reason, attempt.Status = heliograph.ConnectFailed, 0
			return attempt
		case faults.Drop:
			return attempt
		case faults.Delay:
			if hold(ctx, f.Delay) != nil {
				attempt.Reason, attempt.Status = heliograph.Stopped, 0
				return attempt
			}
		case faults.Duplicate:
			twice = true
		case faults.Reorder:
			if faults.Count(p.JSON) == 1 && t.hold(p) {
				return attempt
			}
		default:
		}
		altered, err := hit[i].Alter(p.JSON, t.reissue)
		if err != nil {
			attempt.Reason, attempt.Status, attempt.Detail = heliograph.ConnectionBroke, 0, attempt.Detail+": "+err.Error()
			return attempt
		}
		p.JSON = altered
	}
	attempt = t.Receiver.Post(ctx, p)
	if twice {
		t.Receiver.Post(ctx, p) // the first answer counts
	}
	attempt.Detail = strings.TrimSuffix(detail(hit)+"; "+attempt.Detail, "; ")
	t.release(ctx)
	return attempt
}

// detail names the faults for the record of the delivery.
func detail(hit []faults.Fault) string {
	names := make([]string, len(hit))
	for i := range hit {
		names[i] = string(hit[i].Kind)
	}
	return "fault: " + strings.Join(names, ", ")
}

// hold keeps a body for behind the next POST.
func (t *troubled) hold(p deliver.Body) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) >= maxHeld {
		return false
	}
	p.JSON = append([]byte(nil), p.JSON...) // the caller's again when Post returns
	t.held = append(t.held, p)
	return true
}

// release sends what was held.
func (t *troubled) release(ctx context.Context) {
	t.mu.Lock()
	held := t.held
	t.held = nil
	t.mu.Unlock()
	for _, p := range held {
		t.Receiver.Post(ctx, p)
	}
}

// List returns the faults in force.
func (t *trouble) List() []faults.State { return t.book.List() }

// Add puts a fault in force.
func (t *trouble) Add(f faults.Fault) (faults.State, error) { return t.book.Add(f) }

// Remove takes one out of force.
func (t *trouble) Remove(id heliograph.GUID) bool { return t.book.Remove(id) }

// Clear takes all out of force.
func (t *trouble) Clear() { t.book.Clear() }
