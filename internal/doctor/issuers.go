package doctor

import (
	"context"
	"net"
	"net/http"
	"time"

	"heliograph.dev/internal/seal/token"
)

// Issuers make the validation tokens of an examination, and publish the keys of those that a receiver is to believe.
type Issuers struct {
	V2, V1, Stranger *token.Tokens
	server           *http.Server
}

// PublishKeys makes issuers and publishes their keys on a listener, at every address where receivers look for Graph's.
// The listener's address is the issuer's. Close ends it.
func PublishKeys(ctx context.Context, l net.Listener, now func() time.Time) (*Issuers, error) {
	shared := new(sharedKeys)
	i := &Issuers{}
	for _, one := range []struct {
		to    **token.Tokens
		form  token.Form
		store token.Store
	}{{&i.V2, token.V2, shared}, {&i.V1, token.V1, shared}, {&i.Stranger, token.V2, nil}} {
		made, err := token.New(ctx, token.Options{Form: one.form, Base: "http://" + l.Addr().String(), Store: one.store, Now: now})
		if err != nil {
			return nil, err
		}
		*one.to = made
	}
	i.server = &http.Server{Handler: i.V2, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	go func() { _ = i.server.Serve(l) }() // ends with Close
	return i, nil
}

// Close ends the publication.
func (i *Issuers) Close() error { return i.server.Close() }

// sharedKeys are keys in memory that both forms of issuer sign with.
type sharedKeys struct {
	content []byte
	version uint64
}

// Load returns what was saved last.
func (k *sharedKeys) Load(context.Context) ([]byte, uint64, error) { return k.content, k.version, nil }

// Save keeps the content.
func (k *sharedKeys) Save(_ context.Context, content []byte, _ uint64) (uint64, error) {
	k.content = content
	k.version++
	return k.version, nil
}
