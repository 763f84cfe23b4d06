// Package listen is a receiver of change notifications for a developer's terminal: it answers the endpoint
// validation as Graph's documentation asks, takes every collection with 202, shows what came, and may pass
// each request on to an application.
//
// It trusts nobody: bodies are bounded, what senders wrote is printed without its control characters (a
// resource's name cannot clear the screen), clientState and validation tokens are compared or counted and
// never shown.
//
// When a target is set, the target's answer is what the sender gets, for the handshake too. Otherwise the
// sender is answered as soon as its request is understood, before anything is printed: a paused terminal
// costs it nothing.
//
// A Receiver may serve any number of requests at once. Each block of output is one Write, made under a lock.
package listen

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"heliograph.dev"
	"heliograph.dev/receiver"
)

// maxBody bounds a collection. Graph's own are far smaller, rich ones included.
const maxBody = 16 << 20

// Format is how a Receiver prints.
type Format uint8

// verifyTimeout bounds the verification of a collection's tokens, for which keys may have to be fetched.
const verifyTimeout = 10 * time.Second

// The formats.
const (
	Text Format = iota // blocks for a person
	JSON               // one object per line
)

// Options says what a Receiver does with what comes.
type Options struct {
	// Out is where it prints, or nil to print nothing.
	Out    io.Writer
	Format Format
	Color  bool // of Text; see Colors
	// ForwardTo is the http or https URL that requests are passed on to, or empty. A request's path is added
	// to the URL's.
	ForwardTo string
	// ForwardTimeout bounds a forwarded request, the answer included; 0 means ten seconds.
	ForwardTimeout time.Duration
	// ClientState, when set, is what each notification must carry. One that does not is shown and counted as
	// forged; its sender is told nothing.
	ClientState heliograph.Secret
	// Keys open encrypted content. Nil: it is shown as sealed.
	Keys *receiver.Keys
	// Verifier verifies validation tokens. Nil: they are counted and believed.
	Verifier *receiver.TokenVerifier
	// Happened tells when the change behind a notification happened, where the caller knows better than the
	// notification does.
	Happened func(*Notification) (time.Time, bool)
	// Received is called with each notification once its sender was answered, by the request's goroutine.
	Received func(*Receipt)
	Now      func() time.Time
	Logger   *slog.Logger
}

// Receipt is a notification as it came.
type Receipt struct {
	Notification
	At          time.Time // when its request had been read
	Path        string    // of the request
	Index, Size int       // its place in its collection, from 0, and how many there were
	// Latency is how long after the change it came, or 0 when that is not known.
	Latency time.Duration
	// Forged reports that it lacks the clientState that it should carry.
	Forged bool
	// Tokens is how many validation tokens came with the collection; TokenFault says what is wrong with one, if
	// they were verified.
	Tokens     int
	TokenFault string
	// Data is what the encrypted content holds; SealFault says why it could not be opened.
	Data      json.RawMessage
	SealFault string
}

// Counts are what a Receiver has seen.
type Counts struct {
	Handshakes    uint64
	Collections   uint64
	Notifications uint64 // of changes
	Lifecycle     uint64 // lifecycle notifications
	Forged        uint64 // of both, those with a wrong clientState
	Rejected      uint64 // requests that were no notifications
}

// Receiver is an http.Handler that takes notifications.
type Receiver struct {
	opts   Options
	target *url.URL // nil: do not forward
	client *http.Transport
	view   view

	out sync.Mutex

	handshakes, collections, notifications, lifecycle, forged, rejected atomic.Uint64
}

// New returns a Receiver. It needs Now and Logger; Close it, or let Serve do so.
func New(opts Options) (*Receiver, error) {
	r := &Receiver{opts: opts, client: newTransport()}
	r.opts.ForwardTimeout = cmp.Or(opts.ForwardTimeout, defaultForwardTimeout)
	switch opts.Format {
	case Text:
		r.view = textView{paint: opts.Color}
	case JSON:
		r.view = lineView{}
	default:
		return nil, fmt.Errorf("unknown output format %d", opts.Format)
	}
	if opts.ForwardTo != "" {
		target, err := url.Parse(opts.ForwardTo)
		if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
			return nil, heliograph.Errorf(heliograph.Invalid, "listen.forward", "cannot forward to %q: want a URL like http://localhost:3000/notify", opts.ForwardTo)
		}
		r.target = target
	}
	return r, nil
}

// Counts returns what came so far.
func (r *Receiver) Counts() Counts {
	return Counts{
		Handshakes: r.handshakes.Load(), Collections: r.collections.Load(), Notifications: r.notifications.Load(),
		Lifecycle: r.lifecycle.Load(), Forged: r.forged.Load(), Rejected: r.rejected.Load(),
	}
}

// ServeHTTP takes one request: a handshake, or a collection of notifications.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	in := &incoming{at: r.opts.Now(), path: req.URL.Path, body: body}
	if err != nil {
		r.reject(w, in, readProblem(err))
		return
	}
	if query := req.URL.Query(); query.Has("validationToken") {
		r.handshake(w, req, in, query.Get("validationToken"))
		return
	}
	collection, prob := understand(req, body)
	switch {
	case r.target != nil:
		if prob != nil {
			r.note(in, prob) // and let the target say what it thinks of it
		}
		receipts := r.receive(req.Context(), in, collection)
		defer r.hand(receipts) // also when the target's answer breaks off
		r.forward(w, req, in, nil)
	case prob != nil:
		r.reject(w, in, prob)
	default:
		answer(w, http.StatusAccepted, "")
		r.hand(r.receive(req.Context(), in, collection))
	}
}

// hand gives the caller what came.
func (r *Receiver) hand(receipts []Receipt) {
	if r.opts.Received == nil {
		return
	}
	for i := range receipts {
		r.opts.Received(&receipts[i])
	}
}

// incoming is a request that has been read.
type incoming struct {
	at   time.Time
	path string
	body []byte
}

// problem is why a request was refused.
type problem struct {
	status int
	text   string
}

func readProblem(err error) *problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d MB", maxBody>>20)}
	}
	return &problem{http.StatusBadRequest, "the body ended early"}
}

// understand reads the collection that a request carries, or says why it carries none.
func understand(req *http.Request, body []byte) (Collection, *problem) {
	if req.Method != http.MethodPost {
		return Collection{}, &problem{http.StatusMethodNotAllowed, "this is a receiver of change notifications: POST them here"}
	}
	if coding := req.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return Collection{}, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("content encoding %q is not spoken here", coding)}
	}
	collection, err := ParseCollection(body)
	if err != nil {
		return Collection{}, &problem{http.StatusBadRequest, err.Error()}
	}
	return collection, nil
}

// handshake echoes the token, decoded once, exactly (contract 4.4, 4.6). Nothing in it is escaped: it goes out
// as plain text that no browser may take for anything else.
func (r *Receiver) handshake(w http.ResponseWriter, req *http.Request, in *incoming, token string) {
	r.handshakes.Add(1)
	if r.target == nil {
		answer(w, http.StatusOK, token)
	}
	r.print(r.view.handshake(in, token))
	if r.target != nil {
		r.forward(w, req, in, &token)
	}
}

// answer sends an answer off at once: its length is known, so the sender need not wait for the handler's end.
// Should the sender have gone, there is nobody to tell.
func answer(w http.ResponseWriter, status int, text string) {
	header := w.Header()
	header.Set("Content-Length", strconv.Itoa(len(text)))
	if text != "" {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) //nolint:gosec // plain text, nosniff: no browser runs it, and the token must come back as it is
	_ = http.NewResponseController(w).Flush()
}

func (r *Receiver) reject(w http.ResponseWriter, in *incoming, prob *problem) {
	if prob.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	answer(w, prob.status, prob.text+"\n")
	r.note(in, prob)
}

// note counts and prints a request that carried no notifications.
func (r *Receiver) note(in *incoming, prob *problem) {
	r.rejected.Add(1)
	r.print(r.view.rejected(in, prob))
}

// receive counts and prints the notifications of a collection.
func (r *Receiver) receive(ctx context.Context, in *incoming, collection Collection) []Receipt {
	if len(collection.Value) > 0 {
		r.collections.Add(1)
	}
	receipts := make([]Receipt, len(collection.Value))
	tokenFault := r.verify(ctx, &collection)
	for i := range collection.Value {
		receipt := &receipts[i]
		*receipt = Receipt{
			Notification: collection.Value[i], At: in.at, Path: in.path,
			Index: i, Size: len(collection.Value), Tokens: len(collection.Tokens), TokenFault: tokenFault,
		}
		r.open(receipt)
		receipt.Latency = r.latency(receipt)
		receipt.Forged = r.isForged(receipt)
		if receipt.Forged {
			r.forged.Add(1)
		}
		if receipt.LifecycleEvent != "" {
			r.lifecycle.Add(1)
		} else {
			r.notifications.Add(1)
		}
		r.print(r.view.notification(receipt))
	}
	return receipts
}

// verify says what is wrong with a collection's validation tokens.
func (r *Receiver) verify(ctx context.Context, c *Collection) string {
	if r.opts.Verifier == nil || len(c.Tokens) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyTimeout) // the sender was answered, and may have gone
	defer cancel()
	if _, err := r.opts.Verifier.Verify(ctx, c.Tokens); err != nil {
		return err.Error()
	}
	return ""
}

// open decrypts a notification's content.
func (r *Receiver) open(receipt *Receipt) {
	if receipt.Encrypted == nil || r.opts.Keys == nil {
		return
	}
	data, err := r.opts.Keys.Decrypt(&receipt.Encrypted.content)
	if err != nil {
		receipt.SealFault = err.Error()
		return
	}
	receipt.Data = data
}

func (r *Receiver) latency(receipt *Receipt) time.Duration {
	happened, known := receipt.EventTime, !receipt.EventTime.IsZero()
	if r.opts.Happened != nil {
		if at, ok := r.opts.Happened(&receipt.Notification); ok {
			happened, known = at, true
		}
	}
	if !known {
		return 0
	}
	return max(0, receipt.At.Sub(happened)) // another machine's clock may be ahead
}

func (r *Receiver) isForged(receipt *Receipt) bool {
	want := r.opts.ClientState
	return !want.IsZero() && subtle.ConstantTimeCompare([]byte(want.Reveal()), []byte(receipt.ClientState.Reveal())) != 1
}

// print writes one block. Where the output has gone there is nobody to tell, and notifications still count.
func (r *Receiver) print(block []byte) {
	if r.opts.Out == nil {
		return
	}
	r.out.Lock()
	defer r.out.Unlock()
	_, _ = r.opts.Out.Write(block)
}
