package receiver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev/receiver"
)

var errTest = errors.New("a test's own error")

const state = "the client state"

// seen is what a handler's functions were called with.
type seen struct {
	mu      sync.Mutex
	changes []string
	events  []string
	refused []string // reason, and "again" when the sender shall come again
	errs    []error
}

func (s *seen) options() receiver.Options {
	return receiver.Options{
		ClientState: receiver.FixedClientState(state),
		OnChange: func(_ context.Context, n *receiver.Notification) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changes = append(s.changes, n.Resource)
			return nil
		},
		OnLifecycle: func(_ context.Context, n *receiver.Notification) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, string(n.Lifecycle))
			return nil
		},
		OnRefused: func(_ context.Context, r *receiver.Refusal) {
			s.mu.Lock()
			defer s.mu.Unlock()
			word := string(r.Reason)
			if r.Retry {
				word += " again"
			}
			s.refused = append(s.refused, word)
			s.errs = append(s.errs, r)
		},
	}
}

// want checks what was seen, and forgets it.
func (s *seen) want(t *testing.T, changes, events, refused []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff([][]string{changes, events, refused}, [][]string{s.changes, s.events, s.refused}); diff != "" {
		t.Errorf("changes, events, refusals: %s\n%v", diff, s.errs)
	}
	for _, err := range s.errs {
		if strings.Contains(fmt.Sprint(err), state) {
			t.Errorf("the client state is in %v", err)
		}
	}
	s.changes, s.events, s.refused, s.errs = nil, nil, nil, nil
}

func handler(t *testing.T, o receiver.Options) *receiver.Handler {
	t.Helper()
	h, err := receiver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// change returns a notification of a change, in the wire's form.
func change(id, resource string) map[string]any {
	return map[string]any{
		"id": id, "subscriptionId": "s1", "tenantId": tenantID, "clientState": state, "changeType": "updated", "resource": resource,
	}
}

func event(event string) map[string]any {
	return map[string]any{"subscriptionId": "s1", "tenantId": tenantID, "clientState": state, "lifecycleEvent": event}
}

func with(item map[string]any, name string, value any) map[string]any {
	item[name] = value
	return item
}

func body(items ...map[string]any) []byte {
	return must(json.Marshal(map[string]any{"value": items}))
}

// post sends a body and returns the answer's status.
func post(t *testing.T, h http.Handler, text []byte) int {
	t.Helper()
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/notify", bytes.NewReader(text)))
	if (recorder.Code == http.StatusServiceUnavailable) != (recorder.Header().Get("Retry-After") != "") {
		t.Errorf("%d with Retry-After %q", recorder.Code, recorder.Header().Get("Retry-After"))
	}
	return recorder.Code
}

func wantStatus(t *testing.T, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("answered %d, want %d", got, want)
	}
}

func TestHandshake(t *testing.T) { // contract 4.1 to 4.8
	t.Parallel()
	server := httptest.NewServer(handler(t, new(seen).options()))
	defer server.Close()
	for _, token := range []string{
		"Validation: Testing client application reachability for subscription Request-Id: 6f0e9a3c-0a4f-4b5e-9d0d-9f6a6c2c8a11",
		"", "+ / = % & ? #", "<script>alert(1)</script>", "ünïcode ✓", strings.Repeat("x", 4000),
	} {
		for _, prefix := range []string{"?", "?mine=1&"} {
			address := server.URL + prefix + "validationToken=" + url.QueryEscape(token)
			request := must(http.NewRequestWithContext(t.Context(), http.MethodPost, address, http.NoBody))
			request.Header.Set("Content-Type", "text/plain; charset=utf-8")
			status, header, echo := do(t, server.Client(), request)
			if status != http.StatusOK || echo != token {
				t.Errorf("%q: %d %q", token, status, echo)
			}
			if kind := header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
				t.Errorf("as %s", kind)
			}
			if header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("a browser may guess what it is")
			}
		}
	}
	recorder := httptest.NewRecorder()
	target := "/?validationToken=" + strings.Repeat("x", 9000)
	server.Config.Handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, http.NoBody))
	wantStatus(t, recorder.Code, http.StatusBadRequest)
}

// do sends a request and returns the answer's status, header and body.
func do(t *testing.T, client *http.Client, request *http.Request) (int, http.Header, string) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, response.Header, string(must(io.ReadAll(response.Body)))
}

func TestRequestsThatAreNoNotifications(t *testing.T) {
	t.Parallel()
	var s seen
	o := s.options()
	o.MaxBody = 1000
	h := handler(t, o)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), method, "/", http.NoBody))
		wantStatus(t, recorder.Code, http.StatusMethodNotAllowed)
		if recorder.Header().Get("Allow") != http.MethodPost {
			t.Errorf("%s: Allow is %q", method, recorder.Header().Get("Allow"))
		}
	}
	s.want(t, nil, nil, nil)
	wantStatus(t, post(t, h, []byte("words")), http.StatusBadRequest)
	wantStatus(t, post(t, h, nil), http.StatusBadRequest)
	wantStatus(t, post(t, h, body(change("1", strings.Repeat("x", 1000)))), http.StatusRequestEntityTooLarge)
	s.want(t, nil, nil, []string{"malformed", "malformed", "malformed"})
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.MultiReader(strings.NewReader("{"), broken{})))
	wantStatus(t, recorder.Code, http.StatusBadRequest)
	s.want(t, nil, nil, []string{"malformed"})
}

// broken is a body that ends too early.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestNotifications(t *testing.T) {
	t.Parallel()
	lookup := func(_ context.Context, id string) (string, error) {
		switch id {
		case "s1":
			return state, nil
		case "s2":
			return "", nil // created without a client state
		case "away":
			return "", errTest
		}
		return "", fmt.Errorf("%w: %s", receiver.ErrUnknownSubscription, id)
	}
	for _, c := range []struct {
		name                     string
		items                    []map[string]any
		status                   int
		changes, events, refused []string
	}{
		{"none", []map[string]any{}, 202, nil, nil, nil},
		{"one", []map[string]any{change("1", "a")}, 202, []string{"a"}, nil, nil},
		{"several, in order", []map[string]any{change("1", "a"), change("2", "b"), change("3", "c")}, 202, []string{"a", "b", "c"}, nil, nil},
		{"several without an id", []map[string]any{change("", "a"), change("", "a")}, 202, []string{"a", "a"}, nil, nil},
		{
			"lifecycle events",
			[]map[string]any{event("missed"), event("REAUTHORIZATIONREQUIRED"), event("somethingNew")},
			202, nil,
			[]string{"missed", "reauthorizationRequired", "somethingNew"},
			nil,
		},
		{"both", []map[string]any{change("1", "a"), event("missed"), change("2", "b")}, 202, []string{"a", "b"}, []string{"missed"}, nil},
		{"no client state where none was given", []map[string]any{with(with(change("1", "a"), "subscriptionId", "s2"), "clientState", nil)}, 202, []string{"a"}, nil, nil},
		// What will never be better is dropped, and the rest is taken.
		{"a wrong client state", []map[string]any{with(change("1", "a"), "clientState", "x"), change("2", "b")}, 202, []string{"b"}, nil, []string{"client_state"}},
		{"no client state", []map[string]any{with(change("1", "a"), "clientState", nil)}, 202, nil, nil, []string{"client_state"}},
		{"half a client state", []map[string]any{with(change("1", "a"), "clientState", state[:5])}, 202, nil, nil, []string{"client_state"}},
		{"a forged event", []map[string]any{with(event("subscriptionRemoved"), "clientState", "x")}, 202, nil, nil, []string{"client_state"}},
		{"a subscription that is not ours", []map[string]any{with(change("1", "a"), "subscriptionId", "?")}, 202, nil, nil, []string{"unknown_subscription"}},
		{"no subscription", []map[string]any{with(change("1", "a"), "subscriptionId", nil)}, 202, nil, nil, []string{"malformed"}},
		{"neither change nor event", []map[string]any{with(change("1", "a"), "changeType", nil)}, 202, nil, nil, []string{"malformed"}},
		{"change and event", []map[string]any{with(change("1", "a"), "lifecycleEvent", "missed")}, 202, nil, nil, []string{"malformed"}},
		// What may be better next time is asked for again, and the rest is taken.
		{"a look-up that fails", []map[string]any{with(change("1", "a"), "subscriptionId", "away"), change("2", "b")}, 503, []string{"b"}, nil, []string{"lookup_failed again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, first := range []bool{false, true} {
				var s seen
				o := s.options()
				o.ClientState, o.AnswerFirst = lookup, first
				h := handler(t, o)
				wantStatus(t, post(t, h, body(c.items...)), c.status)
				if err := h.Close(t.Context()); err != nil {
					t.Error(err)
				}
				s.want(t, c.changes, c.events, c.refused)
			}
		})
	}
}

func TestAnyClientState(t *testing.T) {
	t.Parallel()
	var s seen
	o := s.options()
	o.ClientState, o.OnLifecycle = receiver.AnyClientState(), nil
	h := handler(t, o)
	wantStatus(t, post(t, h, body(with(change("1", "a"), "clientState", "x"), change("2", "b"), event("missed"))), http.StatusAccepted)
	s.want(t, []string{"a", "b"}, nil, nil)
}

// What was handled is not handed over again, what failed is.
func TestComingAgain(t *testing.T) {
	t.Parallel()
	var s seen
	o := s.options()
	inner, fails := o.OnChange, true
	o.OnChange = func(ctx context.Context, n *receiver.Notification) error {
		if n.Resource == "b" && fails {
			return errTest
		}
		return inner(ctx, n)
	}
	h := handler(t, o)
	text := body(change("1", "a"), change("2", "b"), change("3", "c"))
	wantStatus(t, post(t, h, text), http.StatusServiceUnavailable)
	s.want(t, []string{"a", "c"}, nil, []string{"handler again"})
	fails = false
	wantStatus(t, post(t, h, text), http.StatusAccepted)
	s.want(t, []string{"b"}, nil, nil)
	wantStatus(t, post(t, h, text), http.StatusAccepted)
	s.want(t, nil, nil, nil)
	// The same id for another subscription is another notification.
	other := with(change("1", "a"), "subscriptionId", "s2")
	wantStatus(t, post(t, h, body(other)), http.StatusAccepted)
	s.want(t, []string{"a"}, nil, nil)
}

// A notification that comes again while it is being handled is neither handed over twice nor acknowledged.
func TestComingTwiceAtOnce(t *testing.T) {
	t.Parallel()
	var s seen
	o := s.options()
	inner := o.OnChange
	entered, leave := make(chan struct{}), make(chan error)
	o.OnChange = func(ctx context.Context, n *receiver.Notification) error {
		entered <- struct{}{}
		if err := <-leave; err != nil {
			return err
		}
		return inner(ctx, n)
	}
	h := handler(t, o)
	text := body(change("1", "a"))
	for _, outcome := range []error{errTest, nil} {
		status := make(chan int)
		go func() { status <- post(t, h, text) }()
		<-entered
		wantStatus(t, post(t, h, text), http.StatusServiceUnavailable)
		leave <- outcome
		<-status
	}
	s.want(t, []string{"a"}, nil, []string{"handler again"})
	wantStatus(t, post(t, h, text), http.StatusAccepted)
	s.want(t, nil, nil, nil)
}

// A handler that panics does as one that fails: net/http catches it, and the notifications may come again.
func TestPanic(t *testing.T) {
	t.Parallel()
	var s seen
	o := s.options()
	inner, panics := o.OnChange, true
	o.OnChange = func(ctx context.Context, n *receiver.Notification) error {
		if panics {
			panic("a test's own")
		}
		return inner(ctx, n)
	}
	h := handler(t, o)
	text := body(change("1", "a"), change("2", "b"))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is swallowed")
			}
		}()
		post(t, h, text)
	}()
	panics = false
	wantStatus(t, post(t, h, text), http.StatusAccepted)
	s.want(t, []string{"a", "b"}, nil, nil)
}

func TestAnswerFirst(t *testing.T) { // contract 13.15
	t.Parallel()
	var s seen
	o := s.options()
	inner := o.OnChange
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	o.OnChange = func(ctx context.Context, n *receiver.Notification) error {
		entered <- struct{}{}
		<-leave
		switch n.Resource {
		case "fails":
			return errTest
		case "panics":
			panic("a test's own")
		}
		if err := ctx.Err(); err != nil { // the request is over, and that must not matter
			return err
		}
		return inner(ctx, n)
	}
	o.AnswerFirst = true
	text := body(change("", "second"), change("", "third"))
	o.MaxPending = int64(2 * len(text))
	h := handler(t, o)

	server := httptest.NewServer(h) // whose requests' contexts end
	defer server.Close()
	send := func(items ...map[string]any) int {
		t.Helper()
		request := must(http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, bytes.NewReader(body(items...))))
		status, _, _ := do(t, server.Client(), request)
		return status
	}
	wantStatus(t, send(change("1", "first")), http.StatusAccepted)
	<-entered // it is being handled, and answered
	wantStatus(t, send(change("", "second"), change("", "third")), http.StatusAccepted)
	wantStatus(t, send(change("1", "first")), http.StatusServiceUnavailable) // while it is being handled
	wantStatus(t, send(change("4", "too much"), change("5", "really")), http.StatusServiceUnavailable)
	s.want(t, nil, nil, []string{"busy again"})
	wantStatus(t, send(with(change("6", "forged"), "clientState", "x")), http.StatusAccepted)
	s.want(t, nil, nil, []string{"client_state"})
	close(leave)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(t, []string{"first", "second", "third"}, nil, nil)
	wantStatus(t, send(change("7", "late")), http.StatusServiceUnavailable)
	s.want(t, nil, nil, []string{"busy again"})

	h = handler(t, o)
	wantStatus(t, post(t, h, body(change("8", "fails"), change("9", "panics"), change("4", "too much"))), http.StatusAccepted)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(t, []string{"too much"}, nil, []string{"handler", "handler"})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	o := new(seen).options()
	entered, leave := make(chan struct{}), make(chan struct{})
	o.AnswerFirst = true
	o.OnChange = func(context.Context, *receiver.Notification) error {
		close(entered)
		<-leave
		return nil
	}
	h := handler(t, o)
	post(t, h, body(change("1", "a")))
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(leave)
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := new(seen).options()
	for name, change := range map[string]func(*receiver.Options){
		"no OnChange":          func(o *receiver.Options) { o.OnChange = nil },
		"no ClientState":       func(o *receiver.Options) { o.ClientState = nil },
		"keys without a proof": func(o *receiver.Options) { o.Keys = new(receiver.Keys) },
	} {
		o := good
		change(&o)
		if _, err := receiver.New(o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}
