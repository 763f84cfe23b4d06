package receiver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
)

const (
	defaultMaxBody    = 16 << 20
	defaultMaxPending = 64 << 20
	defaultDuplicates = 16 << 10
	maxHandshake      = 8 << 10
	retryAfter        = 10 // seconds
)

// Options say what a Handler does with what comes.
type Options struct {
	// ClientState returns what the clientState of a subscription's notifications must be. Required: it is what keeps
	// strangers out, since anybody may post to your URL. An error that wraps ErrUnknownSubscription drops the
	// notification; another one (your database is away, or your create request has not returned yet and the id is not
	// stored) asks the sender to come again. FixedClientState and AnyClientState serve the simple cases.
	ClientState func(ctx context.Context, subscriptionID string) (string, error)

	// OnChange is called with each change. Required. The sender is asked to come again when it returns an error.
	OnChange func(ctx context.Context, n *Notification) error
	// OnLifecycle is called with each event of a subscription's life, those included that do not exist yet. Nil: they
	// are ignored, and one day a subscription will end in silence.
	OnLifecycle func(ctx context.Context, n *Notification) error
	// OnRefused is called with what was not handled, and why. Nil: a warning to slog's default logger.
	OnRefused func(ctx context.Context, r *Refusal)

	// Keys open resource data. Nil: a notification that brings sealed data is refused.
	Keys *Keys
	// Tokens verifies who sent resource data. Required with Keys, unless Unproven is set.
	Tokens *TokenVerifier
	// Unproven takes resource data without validation tokens. Anybody who has your certificate, which is no secret,
	// can seal data for it: then clientState is all that tells a sender from a stranger. Graph sends no tokens when
	// your application's service principal requires role assignments.
	Unproven bool

	// AnswerFirst answers as soon as everything is checked and decrypted, and calls OnChange and OnLifecycle behind
	// the answer, one call after the other in the order of arrival. Their errors go to OnRefused: nobody comes again.
	AnswerFirst bool
	// MaxPending bounds, in bytes of request bodies, what waits behind answers; beyond it the sender is asked to come
	// again. Zero: 64 MiB.
	MaxPending int64

	// MaxBody bounds a request's body. Zero: 16 MiB.
	MaxBody int64
	// Duplicates remembers what was handled, so that it is not handed over twice. Nil: the last 16,384 by id.
	Duplicates *Duplicates
}

// ErrUnknownSubscription is what Options.ClientState returns for a subscription that is not yours.
var ErrUnknownSubscription = errors.New("unknown subscription")

// FixedClientState is for an application that uses the same clientState for all its subscriptions.
func FixedClientState(secret string) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) { return secret, nil }
}

// AnyClientState takes any clientState, and none. It is for tests, and for endpoints that nobody else can reach.
func AnyClientState() func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) { return "", errAnyState }
}

// errAnyState is how AnyClientState says that nothing is to be compared.
var errAnyState = errors.New("any client state will do")

// Handler takes notifications over HTTP. It is for one URL, or for several: a notificationUrl and a
// lifecycleNotificationUrl.
type Handler struct {
	o     Options
	queue queue
}

// New returns a handler.
func New(o Options) (*Handler, error) {
	h := &Handler{o: o}
	switch {
	case o.OnChange == nil:
		return nil, errors.New("receiver: OnChange is required")
	case o.ClientState == nil:
		return nil, errors.New("receiver: ClientState is required (FixedClientState, or AnyClientState to take everything)")
	case o.Keys != nil && o.Tokens == nil && !o.Unproven:
		return nil, errors.New("receiver: Keys need Tokens, which verifies who sent the data (or Unproven, to take it from anybody)")
	}
	h.o.MaxBody = cmp.Or(o.MaxBody, defaultMaxBody)
	h.o.MaxPending = cmp.Or(o.MaxPending, defaultMaxPending)
	if o.OnRefused == nil {
		h.o.OnRefused = warn
	}
	if o.Duplicates == nil {
		h.o.Duplicates = NewDuplicates(defaultDuplicates)
	}
	return h, nil
}

// warn is what happens to refusals that nobody asked for.
func warn(ctx context.Context, r *Refusal) {
	slog.WarnContext(ctx, "notification refused", "refusal", r) //nolint:sloglint // the caller handed in no logger and no OnRefused
}

// ServeHTTP takes one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Change notifications are posted here.", http.StatusMethodNotAllowed)
		return
	}
	if query := r.URL.Query(); query.Has("validationToken") {
		handshake(w, query.Get("validationToken"))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		h.malformed(w, r, http.StatusRequestEntityTooLarge, err)
		return
	}
	if err != nil {
		h.malformed(w, r, http.StatusBadRequest, err)
		return
	}
	collection, err := ParseCollection(body)
	if err != nil {
		h.malformed(w, r, http.StatusBadRequest, err)
		return
	}
	if !h.take(r.Context(), collection, int64(len(body))) {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// handshake proves to the sender that this endpoint wants notifications: it answers with the token, decoded once. It
// is text and says so, since whoever made the link chose the text.
func handshake(w http.ResponseWriter, token string) {
	if len(token) > maxHandshake {
		http.Error(w, "The validation token is too long.", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, token) //nolint:gosec // the echo is the contract, as text/plain and nothing else
}

func (h *Handler) malformed(w http.ResponseWriter, r *http.Request, status int, err error) {
	h.o.OnRefused(r.Context(), &Refusal{Reason: Malformed, Err: err})
	http.Error(w, "This is not a collection of change notifications.", status)
}

// Close waits for what runs behind answers, or for ctx. Requests that come later, or while it waits, are asked to come
// again. It is needed with AnswerFirst only: call it after the server's Shutdown.
func (h *Handler) Close(ctx context.Context) error { return h.queue.close(ctx) }

// sameState compares client states in a time that tells nothing about them, not even their length.
func sameState(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
