package app

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/internal/pages"
	"heliograph.dev/internal/signin"
)

// pagesApp is the application that the pages' token is of, and pagesToken how long it holds: a page asks for another
// when it has ended.
const (
	pagesApp   = "heliograph-pages"
	pagesToken = 8 * time.Hour
)

// setUpPages lets browsers see the pages, beside what else answers: in development, and where people can sign in.
func (a *App) setUpPages(opts *httpapi.Options) error {
	opts.Health = health.Rules(a.parts.catalog.Profile().Endpoint)
	o := pages.Options{TrustedProxies: a.cfg.Listen.TrustedProxies, Logger: a.log}
	switch {
	case a.isDev():
		o.Session = a.pagesSession
	case a.parts.gate != nil:
		o.SignIn = signin.Path
	default:
		return nil
	}
	shown, err := pages.New(o)
	if err != nil {
		return err
	}
	opts.Pages = shown
	if a.parts.gate != nil {
		opts.Pages = a.parts.gate.Require(shown)
	}
	opts.Next = either{shown, opts.Next}
	return nil
}

// pagesSession makes the token with which a page does what its user may: in development, everything.
func (a *App) pagesSession(ctx context.Context, origin string) (pages.Token, error) {
	text, expires, err := a.parts.issuer.Mint(ctx, devissuer.MintRequest{Base: origin, App: pagesApp, Lifetime: pagesToken})
	return pages.Token{Text: text, Expires: expires}, err
}

// either lets the pages answer for their paths, and another handler for the rest.
type either struct {
	pages  *pages.Pages
	others http.Handler
}

// ServeHTTP answers.
func (e either) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.pages.Handles(r.URL.Path) {
		e.pages.ServeHTTP(w, r)
		return
	}
	e.others.ServeHTTP(w, r)
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
