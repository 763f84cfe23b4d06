package app

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/internal/pages"
)

// pagesApp is the application that the pages' token is of, and pagesToken how long it holds: a page asks for another
// when it has ended.
const (
	pagesApp   = "heliograph-pages"
	pagesToken = 8 * time.Hour
)

// setUpPages lets browsers see the pages, beside what the development issuer answers.
func (a *App) setUpPages(opts *httpapi.Options) error {
	shown, err := pages.New(pages.Options{Session: a.pagesSession, TrustedProxies: a.cfg.Listen.TrustedProxies, Logger: a.log})
	if err != nil {
		return err
	}
	opts.Pages = shown
	opts.Next = firstOf{shown, a.parts.issuer}
	return nil
}

// pagesSession makes the token with which a page does what its user may: in development, everything.
func (a *App) pagesSession(ctx context.Context, origin string) (pages.Token, error) {
	text, expires, err := a.parts.issuer.Mint(ctx, devissuer.MintRequest{Base: origin, App: pagesApp, Lifetime: pagesToken})
	return pages.Token{Text: text, Expires: expires}, err
}

// firstOf lets the first answer that has an answer for the path, or the last.
type firstOf []interface {
	http.Handler
	Handles(path string) bool
}

// ServeHTTP answers.
func (f firstOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, h := range f {
		if h.Handles(r.URL.Path) {
			h.ServeHTTP(w, r)
			return
		}
	}
	http.NotFound(w, r)
}

// Follow returns what came into the book after a place, of that which the caller may see.
func (c control) Follow(caller *heliograph.Caller, after deliveries.ID, q deliveries.Query) deliveries.Tail {
	return c.book.Follow(after, own(caller, q))
}

// mostLookedAt bounds how many frames of the log are read for a list of changes.
const mostLookedAt = 2000

// Recent returns the latest changes of the caller's tenant.
func (c control) Recent(ctx context.Context, caller *heliograph.Caller, q httpapi.ChangesQuery) ([]heliograph.Change, error) {
	part, err := c.log(ctx)
	if err != nil {
		return nil, err
	}
	var found []heliograph.Change
	contains := strings.ToLower(q.Contains)
	for seq, looked := part.To, 0; seq >= part.From && seq > 0 && looked < mostLookedAt; seq, looked = seq-1, looked+1 {
		f, err := c.engine.Frame(ctx, seq)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			continue // trimmed meanwhile, or unreadable: not a reason to show nothing
		}
		for _, change := range slices.Backward(f.Changes) {
			if change.Notice != nil || change.Tenant != caller.Tenant || !strings.Contains(strings.ToLower(change.Resource), contains) {
				continue
			}
			if found = append(found, change); len(found) == q.Most {
				return found, nil
			}
		}
	}
	return found, nil
}
