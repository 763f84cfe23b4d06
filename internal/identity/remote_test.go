package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heliograph.dev/internal/identity"
)

// perFetch is how many requests one fetch makes: discovery and keys.
const perFetch = 2

func TestRotation(t *testing.T) {
	t.Parallel()
	p, v, c := setup(t)
	wantAccepted(t, v, p.token(p.appClaims()))
	p.publish(key("one", rsaOne()), key("two", rsaTwo()))
	second := sign("RS256", "two", rsaTwo(), p.appClaims())

	// The keys were fetched a moment ago: the new one is found once the pause is over.
	_, err := v.Verify(t.Context(), second)
	wantRefused(t, err, "key")
	c.Advance(15 * time.Second)
	wantAccepted(t, v, second)
	wantAccepted(t, v, p.token(p.appClaims()))

	// What the issuer withdraws, remembered tokens included, ends when it is noticed.
	p.publish(key("two", rsaTwo()))
	wantAccepted(t, v, p.token(p.appClaims()))
	c.Advance(15 * time.Second)
	_, err = v.Verify(t.Context(), sign("RS256", "three", rsaThree(), p.appClaims()))
	wantRefused(t, err, "key")
	_, err = v.Verify(t.Context(), p.token(p.appClaims()))
	wantRefused(t, err, "key")
	wantAccepted(t, v, second)
}

func TestRotationWithoutKeyIDs(t *testing.T) {
	t.Parallel()
	p, v, c := setup(t)
	p.publish(key("", rsaOne()))
	wantAccepted(t, v, sign("RS256", "", rsaOne(), p.appClaims()))
	p.publish(key("", rsaTwo()))
	c.Advance(15 * time.Second)
	wantAccepted(t, v, sign("RS256", "", rsaTwo(), p.appClaims()))
	_, err := v.Verify(t.Context(), sign("RS256", "", rsaThree(), p.appClaims()))
	wantRefused(t, err, "signature")
}

func TestKeysThatStayKeepTheirTokens(t *testing.T) {
	t.Parallel()
	p, v, c := setup(t)
	token := p.token(p.appClaims())
	wantAccepted(t, v, token)
	c.Advance(time.Minute)
	_, err := v.Verify(t.Context(), sign("RS256", "who", rsaOne(), p.appClaims()))
	wantRefused(t, err, "key")
	wantAccepted(t, v, token)
	if s := v.Stats(); s.Fetches != 2 || s.Hits != 1 {
		t.Errorf("%+v", s)
	}
}

func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	t.Parallel()
	p, v, c := setup(t)
	for range 3 {
		for n := range 50 {
			_, err := v.Verify(t.Context(), sign("RS256", fmt.Sprint("made-up-", n), rsaOne(), p.appClaims()))
			wantRefused(t, err, "key")
		}
		c.Advance(15 * time.Second)
	}
	if got := p.requests.Load(); got != 3*perFetch {
		t.Errorf("%d requests for three pauses, want %d", got, 3*perFetch)
	}
}

func TestKeysAreRefreshedWhileTheyServe(t *testing.T) {
	t.Parallel()
	p, v, c := setup(t)
	long := p.token(p.appClaims().with(fields{"exp": start.Add(100 * time.Hour).Unix()}))
	wantAccepted(t, v, long)
	hold := make(chan struct{})
	p.set(func(p *idp) { p.hold = hold })
	c.Advance(time.Hour)
	wantAccepted(t, v, long) // although the issuer does not answer
	p.release()
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	p, v, c := setup(t, func(o *identity.Options) { o.Issuers = o.Issuers[:1] })
	token := p.token(p.appClaims().with(fields{"exp": start.Add(100 * time.Hour).Unix()}))
	p.set(func(p *idp) { p.status = http.StatusBadGateway })

	_, err := v.Verify(t.Context(), token)
	wantUnavailable(t, err)
	if strings.Contains(err.Error(), p.URL) {
		t.Errorf("the caller is told too much: %v", err)
	}
	err = v.Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), p.URL) || !strings.Contains(err.Error(), "502") {
		t.Errorf("not ready for %v", err)
	}
	asked := p.requests.Load()
	_, err = v.Verify(t.Context(), token)
	wantUnavailable(t, err)
	if p.requests.Load() != asked {
		t.Error("asked again without a pause")
	}

	p.set(func(p *idp) { p.status = 0 })
	c.Advance(2 * time.Second)
	wantAccepted(t, v, token)
	if err := v.Ready(t.Context()); err != nil {
		t.Error(err)
	}

	// Keys at hand outlive an outage of a day, and no longer. New keys cannot be known meanwhile.
	p.set(func(p *idp) { p.status = http.StatusBadGateway })
	c.Advance(23*time.Hour + 59*time.Minute)
	wantAccepted(t, v, token)
	_, err = v.Verify(t.Context(), sign("RS256", "two", rsaTwo(), p.appClaims()))
	wantUnavailable(t, err)
	c.Advance(time.Hour)
	_, err = v.Verify(t.Context(), token)
	wantUnavailable(t, err)
	if s := v.Stats(); s.FetchFailures < 2 || s.Fetches <= s.FetchFailures {
		t.Errorf("%+v", s)
	}
}

func TestFailedRefreshIsLogged(t *testing.T) {
	t.Parallel()
	lines := make(chan string, 10)
	p, v, c := setup(t, func(o *identity.Options) {
		o.Logger = slog.New(slog.NewTextHandler(lineWriter(lines), nil))
	})
	token := p.token(p.appClaims().with(fields{"exp": start.Add(100 * time.Hour).Unix()}))
	wantAccepted(t, v, token)
	p.set(func(p *idp) { p.status = http.StatusTeapot })
	c.Advance(time.Hour)
	wantAccepted(t, v, token)
	if line := <-lines; !strings.Contains(line, "older ones serve") || !strings.Contains(line, p.URL) || strings.Contains(line, token) {
		t.Error(line)
	}
}

type lineWriter chan string

func (w lineWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

func TestIssuerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t, func(o *identity.Options) { o.FetchTimeout = 20 * time.Millisecond })
	p.set(func(p *idp) { p.hold = make(chan struct{}) })
	_, err := v.Verify(t.Context(), p.token(p.appClaims()))
	wantUnavailable(t, err)
}

func TestWhoeverGivesUpWaitingFailsNobodyElse(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t)
	p.set(func(p *idp) { p.hold = make(chan struct{}) })
	token := p.token(p.appClaims())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := v.Verify(ctx, token) // begins the fetch and leaves
	wantUnavailable(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	p.release()
	wantAccepted(t, v, token)
}

func TestConcurrentFirstUseAsksOnce(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t)
	p.set(func(p *idp) { p.hold = make(chan struct{}) })
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), p.token(p.appClaims().with(fields{"uti": n}))); err != nil {
				t.Error(err)
			}
		})
	}
	p.release()
	wg.Wait()
	if got := p.requests.Load(); got != perFetch {
		t.Errorf("%d requests, want %d", got, perFetch)
	}
}

func TestCloseEndsFetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan struct{})
		v := newVerifier(t, identity.Options{
			Issuers: []identity.Issuer{{URL: "https://idp.example"}},
			Now:     func() time.Time { return start },
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				close(asked)
				<-r.Context().Done()
				return nil, r.Context().Err()
			}),
		})
		failed := make(chan error)
		go func() { failed <- v.Ready(t.Context()) }()
		<-asked
		began := time.Now() //nolint:forbidigo // the bubble's clock
		v.Close()
		if err := <-failed; err == nil || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := v.Ready(t.Context()); err == nil {
			t.Error("ready after Close")
		}
		v.Close()
	})
}

func TestDocumentsThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	good := string(must(json.Marshal(key("one", rsaOne()))))
	tests := []struct {
		name   string
		change documents
		want   string // in what an operator is told
	}{
		{"another issuer", documents{issuer: "https://evil.example"}, "evil.example"},
		{"keys without TLS", documents{keysAt: "http://evil.example/keys"}, "must be https"},
		{"keys from a file", documents{keysAt: "file:///etc/passwd"}, "not an absolute URL"},
		{"no address of keys", documents{keysAt: " "}, "not an absolute URL"},
		{"redirected for ever", documents{redirect: "/again"}, "too many redirects"},
		{"keys that are not JSON", documents{rawKeys: "<html>"}, "not JSON"},
		{"no keys", documents{rawKeys: `{"keys":[]}`}, "no usable key"},
		{"only keys of no use", documents{rawKeys: `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"one"},{"kty":"quantum"},7]}`}, "no usable key"},
		{"too many keys", documents{rawKeys: `{"keys":[` + strings.Repeat(good+",", 256) + good + `]}`}, "too large"},
		{"more than a megabyte", documents{rawKeys: strings.Repeat(" ", 1<<20) + `{"keys":[` + good + `]}`}, "too large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, form := range []string{"/{tenantid}/v2.0", "/" + tenantA + "/v2.0"} {
				p, v, _ := setup(t, func(o *identity.Options) {
					o.Issuers = []identity.Issuer{{URL: strings.TrimSuffix(o.Issuers[0].URL, "/{tenantid}/v2.0") + form}}
				})
				p.set(func(p *idp) { p.documents = test.change })
				_, err := v.Verify(t.Context(), p.token(p.appClaims()))
				wantUnavailable(t, err)
				if err := v.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("told %v, want %q", err, test.want)
				}
			}
		})
	}
}

// roundTrip is a transport of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNoRedirectFromTLSToNone(t *testing.T) {
	t.Parallel()
	var asked []string
	v := newVerifier(t, identity.Options{
		Issuers: []identity.Issuer{{URL: "https://idp.example"}},
		Now:     func() time.Time { return start },
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.String())
			return &http.Response{
				StatusCode: http.StatusFound, Body: http.NoBody, Request: r,
				Header: http.Header{"Location": {"http://idp.example/.well-known/openid-configuration"}},
			}, nil
		}),
	})
	if err := v.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "redirect away from https") {
		t.Errorf("err = %v", err)
	}
	if len(asked) != 1 {
		t.Errorf("asked %v", asked)
	}
}

// A fetch that the issuer lets hang is over after its time-out to the second, whatever the passed clock says.
func TestFetchTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, err := identity.New(identity.Options{
			Issuers: []identity.Issuer{{URL: "https://idp.example"}},
			Now:     func() time.Time { return start },
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		began := time.Now() //nolint:forbidigo // the bubble's clock
		if err := v.Ready(t.Context()); err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
