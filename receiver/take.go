package receiver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
)

// take does what a request asks for, and reports whether the sender need not come again. Each notification is for
// itself: what is wrong with one does not touch the others.
func (h *Handler) take(ctx context.Context, c *Collection, size int64) bool {
	b := &batch{h: h, proof: &proof{verifier: h.o.Tokens, tokens: c.ValidationTokens}}
	defer b.release()
	for i := range c.Notifications {
		b.admit(ctx, &c.Notifications[i])
	}
	if !h.o.AnswerFirst {
		b.handleAll(ctx)
		return !b.again
	}
	if len(b.admitted) == 0 {
		return !b.again
	}
	behind := &batch{h: h, admitted: b.admitted}
	if !h.queue.add(size, h.o.MaxPending, func() { behind.handleAll(context.WithoutCancel(ctx)) }) {
		h.o.OnRefused(ctx, &Refusal{Reason: Busy, Retry: true, Err: errBusy})
		return false
	}
	b.admitted = nil // they are another's now
	return !b.again
}

// batch is the notifications of one request on their way.
type batch struct {
	h     *Handler
	proof *proof
	// admitted are those that are checked, opened, and to be handled: the memory of duplicates has them as running.
	admitted []*Notification
	again    bool // the sender should come again
}

// admit checks and opens a notification.
func (b *batch) admit(ctx context.Context, n *Notification) {
	if r := b.check(ctx, n); r != nil {
		b.refuse(ctx, n, r)
		return
	}
	switch b.h.o.Duplicates.Begin(n.key()) {
	case Handled:
		return
	case Running: // another request brought it and is not done: how that ends is not known yet
		b.again = true
		return
	case Fresh:
	}
	b.admitted = append(b.admitted, n)
	if r := b.open(n); r != nil {
		b.admitted = b.admitted[:len(b.admitted)-1]
		b.h.o.Duplicates.End(n.key(), false)
		b.refuse(ctx, n, r)
	}
}

// check says why a notification is not to be believed, or nil.
func (b *batch) check(ctx context.Context, n *Notification) *Refusal {
	if n.SubscriptionID == "" || (n.ChangeType == "") == (n.Lifecycle == "") {
		return &Refusal{Reason: Malformed, Err: errNeither}
	}
	want, err := b.h.o.ClientState(ctx, n.SubscriptionID)
	switch {
	case errors.Is(err, errAnyState):
	case errors.Is(err, ErrUnknownSubscription):
		return &Refusal{Reason: UnknownSubscription, Err: err}
	case err != nil:
		return &Refusal{Reason: LookupFailed, Retry: true, Err: err}
	case !sameState(n.ClientState, want):
		return &Refusal{Reason: WrongClientState, Err: errState}
	}
	if n.EncryptedContent == nil {
		return nil
	}
	return b.prove(ctx, n)
}

// prove says why a notification with resource data is not proven to come from the sender, or nil.
func (b *batch) prove(ctx context.Context, n *Notification) *Refusal {
	switch {
	case b.h.o.Keys == nil:
		return &Refusal{Reason: NoKey, Retry: true, Err: fmt.Errorf("%w: there are none at all", ErrNoKey)}
	case b.h.o.Tokens == nil: // Unproven
		return nil
	}
	tenants, err := b.proof.get(ctx)
	switch {
	case errors.Is(err, ErrToken):
		return &Refusal{Reason: NotProven, Err: err}
	case err != nil:
		return &Refusal{Reason: KeysUnavailable, Retry: true, Err: err}
	case !tenants[strings.ToLower(n.TenantID)]:
		return &Refusal{Reason: NotProven, Err: fmt.Errorf("%w: there is none for the tenant %q", ErrToken, n.TenantID)}
	}
	return nil
}

// open decrypts resource data.
func (b *batch) open(n *Notification) *Refusal {
	if n.EncryptedContent == nil {
		return nil
	}
	data, err := b.h.o.Keys.Decrypt(n.EncryptedContent)
	switch {
	case errors.Is(err, ErrNoKey):
		return &Refusal{Reason: NoKey, Retry: true, Err: err}
	case err != nil:
		return &Refusal{Reason: NotDecrypted, Err: err}
	}
	n.Data = data
	return nil
}

// handleAll calls the application with what was admitted, in order. One that fails does not keep back the others.
func (b *batch) handleAll(ctx context.Context) {
	for len(b.admitted) > 0 {
		n := b.admitted[0]
		err := b.call(ctx, n)
		b.h.o.Duplicates.End(n.key(), err == nil)
		b.admitted = b.admitted[1:]
		if err != nil {
			b.refuse(ctx, n, &Refusal{Reason: HandlerFailed, Retry: !b.h.o.AnswerFirst, Err: err})
		}
	}
}

func (b *batch) call(ctx context.Context, n *Notification) (err error) {
	if b.h.o.AnswerFirst { // else the server catches a panic, and the sender comes again
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
	}
	switch {
	case !n.IsLifecycle():
		return b.h.o.OnChange(ctx, n)
	case b.h.o.OnLifecycle != nil:
		return b.h.o.OnLifecycle(ctx, n)
	}
	return nil
}

func (b *batch) refuse(ctx context.Context, n *Notification, r *Refusal) {
	r.Notification = n
	b.again = b.again || r.Retry
	b.h.o.OnRefused(ctx, r)
}

// release lets what was admitted and not handled come again: there is some after a panic, or when nobody has room.
func (b *batch) release() {
	for _, n := range b.admitted {
		b.h.o.Duplicates.End(n.key(), false)
	}
}

// key is what a notification is remembered by, or nothing when it has no id.
func (n *Notification) key() string {
	if n.ID == "" {
		return ""
	}
	return n.SubscriptionID + " " + n.ID
}

// proof is the validation tokens of a request, verified when they are first needed.
type proof struct {
	verifier *TokenVerifier
	tokens   []string
	done     bool
	tenants  map[string]bool
	err      error
}

// get returns the tenants, in lower case, of which the tokens prove something.
func (p *proof) get(ctx context.Context) (map[string]bool, error) {
	if p.done {
		return p.tenants, p.err
	}
	p.done, p.tenants = true, map[string]bool{}
	claims, err := p.verifier.Verify(ctx, p.tokens)
	for _, c := range claims {
		p.tenants[strings.ToLower(c.Tenant)] = true
	}
	p.err = err
	return p.tenants, err
}
