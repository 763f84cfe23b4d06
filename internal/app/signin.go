package app

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"net/http"

	"heliograph.dev/internal/identity"
	"heliograph.dev/internal/signin"
	"heliograph.dev/internal/subscribe"
)

// sessionUse is what the key of sessions is derived for, so that nothing else that rests on the same key passes for one.
const sessionUse = "heliograph signin sessions"

// setUpSignIn makes the gate by which people come to the pages, where an application is configured for it.
func (a *App) setUpSignIn(ctx context.Context) error {
	if a.isDev() || a.cfg.Pages.ClientID == "" {
		return nil
	}
	kept, err := subscribe.TokenKey(ctx, a.parts.engine) // the same on every node
	if err != nil {
		return err
	}
	key, err := hkdf.Key(sha256.New, kept, nil, sessionUse, 32)
	if err != nil {
		return err
	}
	client := identity.Client(nil)
	a.life.started("sign-in connections", func(context.Context) error {
		client.CloseIdleConnections()
		return nil
	})
	a.parts.gate, err = signin.New(signin.Options{
		Issuer: a.cfg.PagesIssuer(), ClientID: a.cfg.Pages.ClientID, ClientSecret: a.cfg.Pages.ClientSecret, Scopes: a.cfg.Pages.Scopes,
		Base: a.cfg.PublicURL, Key: key, Verifier: a.parts.verifier, Lifetime: a.cfg.Pages.Session, Client: client, Now: a.clock.Now, Logger: a.log,
	})
	return err
}

// behindGate lets people who have signed in use the API.
func (a *App) behindGate(api http.Handler) http.Handler {
	gate := a.parts.gate
	if gate == nil {
		return api
	}
	signedIn := gate.Wrap(api)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gate.Handles(r.URL.Path) {
			gate.ServeHTTP(w, r)
			return
		}
		signedIn.ServeHTTP(w, r)
	})
}
