// Package listen is a receiver of notifications: it answers the handshake, takes and shows what comes, and may
// forward it.
package listen

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"heliograph.dev"
)

// Format is how a Receiver prints.
type Format uint8

// The formats.
const (
	Text Format = iota // for a person
	JSON               // one object per line
)

// Options says what a Receiver does with what comes.
type Options struct {
	// Out is where it prints, or nil to print nothing.
	Out    io.Writer
	Format Format
	Color  bool // see Colors
	// ForwardTo is the URL that requests are passed on to, or empty.
	ForwardTo string
	// ClientState, when set, is what each notification must carry.
	ClientState heliograph.Secret
	// Happened tells when the change behind a notification happened, where the caller knows.
	Happened func(*Notification) (time.Time, bool)
	// Received is called with each notification, after it was answered, by the request's goroutine.
	Received func(*Receipt)
	Now      func() time.Time
	Logger   *slog.Logger
}

// Notification is an item of a changeNotificationCollection.
type Notification struct {
	ID                             string          `json:"id,omitempty"`
	SubscriptionID                 string          `json:"subscriptionId"`
	SubscriptionExpirationDateTime string          `json:"subscriptionExpirationDateTime"`
	TenantID                       string          `json:"tenantId"`
	ChangeType                     string          `json:"changeType,omitempty"`
	LifecycleEvent                 string          `json:"lifecycleEvent,omitempty"`
	Resource                       string          `json:"resource,omitempty"`
	ResourceData                   json.RawMessage `json:"resourceData,omitempty"`
}

// Receipt is a notification as it came.
type Receipt struct {
	Notification
	At          time.Time // when its request had been read
	Path        string    // of the request
	Index, Size int       // its place in the collection
}

// Counts are what a Receiver has seen.
type Counts struct{ Handshakes, Collections, Notifications, Lifecycle, Forged, Rejected uint64 }

// Receiver is an http.Handler.
type Receiver struct{}

// New checks the options.
func New(opts Options) (*Receiver, error) { return &Receiver{}, nil }

// ServeHTTP takes one request.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {}

// Serve serves on the listener until ctx is done.
func (r *Receiver) Serve(ctx context.Context, listener net.Listener) error { return nil }

// Counts returns what came so far.
func (r *Receiver) Counts() Counts { return Counts{} }

// Colors reports whether to print colours on w.
func Colors(w io.Writer, getenv func(string) string) bool { return false }
