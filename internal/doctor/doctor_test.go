package doctor_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/doctor"
	"heliograph.dev/internal/outbound"
	"heliograph.dev/internal/seal"
	"heliograph.dev/receiver"
)

const (
	clientState  = "known"
	subscription = "7f105c7d-2dc5-4530-97cd-4e7ae6534c07"
	app          = "11111111-1111-1111-1111-111111111111"
)

func now() time.Time { return time.Now() } //nolint:forbidigo // there is nothing in it that could be moved

// healthy is a receiver as it should be: the one that anybody may use.
func healthy(tb testing.TB, o receiver.Options) http.Handler {
	tb.Helper()
	o.ClientState = func(_ context.Context, id string) (string, error) {
		if id != subscription {
			return "", receiver.ErrUnknownSubscription
		}
		return clientState, nil
	}
	o.OnRefused = func(context.Context, *receiver.Refusal) {}
	o.OnChange = func(context.Context, *receiver.Notification) error { return nil }
	h, err := receiver.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// steady is a wire on which every answer takes equally long, however busy the machine is.
type steady struct {
	doctor.Caller
	took time.Duration
}

func (s steady) Exchange(ctx context.Context, r outbound.Request) outbound.Exchange {
	x := s.Caller.Exchange(ctx, r)
	x.Attempt.Took = s.took
	return x
}

func examine(tb testing.TB, h http.Handler, change func(*doctor.Options)) *doctor.Report {
	tb.Helper()
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	caller := outbound.New(outbound.Options{AllowLoopback: true, AllowHTTP: true, Now: now})
	tb.Cleanup(caller.Close)
	o := doctor.Options{
		URL: server.URL + "/notify", Subscription: subscription, ClientState: heliograph.NewSecret(clientState),
		Resource: "Users/u/Messages", Tenant: "22222222-2222-2222-2222-222222222222", Caller: steady{caller, time.Millisecond}, Now: now, Patience: 5 * time.Minute,
	}
	if change != nil {
		change(&o)
	}
	return doctor.Examine(tb.Context(), o)
}

// with returns the ids of the findings with a verdict.
func with(r *doctor.Report, v doctor.Verdict) []string {
	var ids []string
	for _, f := range r.Findings {
		if f.Verdict == v {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

func TestHealthyReceiver(t *testing.T) {
	t.Parallel()
	me, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	issuers, err := doctor.PublishKeys(t.Context(), l, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = issuers.Close() })
	keys := new(receiver.Keys)
	if err := keys.AddPEM("mine", me.CertificatePEM, me.KeyPEM); err != nil {
		t.Fatal(err)
	}
	tokens, err := receiver.NewTokenVerifier(receiver.TokenOptions{
		AppIDs: []string{app}, Authorities: []receiver.Authority{receiver.Heliograph("http://" + l.Addr().String())},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := examine(t, healthy(t, receiver.Options{Keys: keys, Tokens: tokens}), func(o *doctor.Options) {
		o.App, o.CertificateID = app, "mine"
		o.V2, o.V1, o.Stranger = issuers.V2, issuers.V1, issuers.Stranger
		if o.Certificate, err = seal.ParseCertificate(base64.StdEncoding.EncodeToString(me.CertificatePEM)); err != nil {
			t.Fatal(err)
		}
	})
	for _, f := range r.Findings {
		if f.Verdict != doctor.Passed {
			t.Errorf("%s: %s: %s", f.ID, f.Verdict, f.Seen)
		}
	}
	if r.Score != 100 || r.Passed != len(r.Findings) {
		t.Errorf("score %d, %d of %d passed", r.Score, r.Passed, len(r.Findings))
	}
}

// sick is a healthy receiver with one malady: it answers itself where it returns true.
func sick(tb testing.TB, malady func(w http.ResponseWriter, r *http.Request, token string, body []byte) bool) http.Handler {
	tb.Helper()
	well := healthy(tb, receiver.Options{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !malady(w, r, r.URL.Query().Get("validationToken"), body) {
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			well.ServeHTTP(w, r)
		}
	})
}

func plain(w http.ResponseWriter, status int, text string) bool {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
	return true
}

func TestMaladies(t *testing.T) {
	t.Parallel()
	handshake := func(answer func(w http.ResponseWriter, r *http.Request, token string) bool) func(http.ResponseWriter, *http.Request, string, []byte) bool {
		return func(w http.ResponseWriter, r *http.Request, token string, _ []byte) bool {
			return token != "" && answer(w, r, token)
		}
	}
	notification := func(when func(body string) bool, status int) func(http.ResponseWriter, *http.Request, string, []byte) bool {
		return func(w http.ResponseWriter, _ *http.Request, token string, body []byte) bool {
			return token == "" && when(string(body)) && plain(w, status, "")
		}
	}
	count := func(body string) int {
		var c struct{ Value []any }
		_ = json.Unmarshal([]byte(body), &c)
		return len(c.Value)
	}
	for name, tt := range map[string]struct {
		malady          func(http.ResponseWriter, *http.Request, string, []byte) bool
		failed, warned  []string
		seen, mendHolds string // of the first that failed or warned
	}{
		"answers 202 to the handshake": {
			malady: handshake(func(w http.ResponseWriter, _ *http.Request, token string) bool { return plain(w, 202, token) }),
			failed: []string{"handshake.echo", "handshake.hostile", "handshake.twice"}, seen: "not 200",
		},
		"wants a sign-in": {
			malady: handshake(func(w http.ResponseWriter, _ *http.Request, _ string) bool { return plain(w, 401, "") }),
			failed: []string{"handshake.echo", "handshake.hostile", "handshake.twice"}, seen: "answered 401", mendHolds: "no Authorization header",
		},
		"redirects": {
			malady: handshake(func(w http.ResponseWriter, r *http.Request, _ string) bool {
				http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
				return true
			}),
			failed: []string{"handshake.echo", "handshake.hostile", "handshake.twice"}, seen: "a redirect",
		},
		"echoes the raw query": {
			malady: handshake(func(w http.ResponseWriter, r *http.Request, _ string) bool {
				return plain(w, 200, strings.TrimPrefix(r.URL.RawQuery, "validationToken="))
			}),
			failed: []string{"handshake.echo", "handshake.hostile", "handshake.twice"}, seen: "still encoded",
		},
		"decodes twice": {
			malady: handshake(func(w http.ResponseWriter, _ *http.Request, token string) bool {
				twice, err := url.QueryUnescape(token)
				if err != nil {
					twice = token
				}
				return plain(w, 200, twice)
			}),
			failed: []string{"handshake.hostile"}, seen: "a+b c",
		},
		"escapes": {
			malady: handshake(func(w http.ResponseWriter, _ *http.Request, token string) bool {
				return plain(w, 200, html.EscapeString(token))
			}),
			failed: []string{"handshake.hostile"}, seen: "escaped the token as HTML",
		},
		"answers as HTML": {
			malady: handshake(func(w http.ResponseWriter, _ *http.Request, token string) bool {
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, token)
				return true
			}),
			failed: []string{"handshake.media"}, seen: "text/html",
		},
		"adds a line": {
			malady: handshake(func(w http.ResponseWriter, _ *http.Request, token string) bool { return plain(w, 200, token+"\n") }),
			failed: []string{"handshake.echo", "handshake.hostile", "handshake.twice"}, seen: "added white space",
		},
		"takes the first only": {
			malady: notification(func(b string) bool { return count(b) > 1 }, 500),
			failed: []string{"notify.batch", "lifecycle.mixed", "endurance.large"}, seen: "answered 500",
		},
		"does not know lifecycle events": {
			malady: notification(func(b string) bool { return strings.Contains(b, "lifecycleEvent") }, 400),
			failed: []string{
				"lifecycle.reauthorization_required", "lifecycle.subscription_removed", "lifecycle.missed", "lifecycle.mixed", "lifecycle.future",
			}, seen: "answered 400",
		},
		"refuses new events": {
			malady: notification(func(b string) bool { return strings.Contains(b, "somethingNew") }, 422),
			failed: []string{"lifecycle.future"}, seen: "answered 422",
		},
		"wants an id": {
			malady: notification(func(b string) bool {
				return !strings.Contains(b, `"id":`) && strings.Contains(b, "changeType")
			}, 400),
			failed: []string{"notify.lean"}, seen: "answered 400",
		},
		"fails on strangers": {
			malady: notification(func(b string) bool {
				return count(b) == 1 && strings.Contains(b, "subscriptionId") && !strings.Contains(b, subscription)
			}, 500),
			failed: []string{"notify.unknown_subscription"}, seen: "answered 500",
		},
		"refuses forgeries": {
			malady: notification(func(b string) bool { return strings.Contains(b, `"clientState":"not `) }, 403),
			warned: []string{"notify.forged"}, seen: "answered 403", mendHolds: "Answer 202",
		},
		"stumbles over garbage": {
			malady: notification(func(b string) bool { return !json.Valid([]byte(b)) }, 500),
			warned: []string{"notify.garbage"}, seen: "answered 500",
		},
		"bounds bodies tightly": {
			malady: notification(func(b string) bool { return len(b) > 100_000 }, 413),
			failed: []string{"endurance.large"}, seen: "answered 413", mendHolds: "Raise the limit",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := examine(t, sick(t, tt.malady), nil)
			if diff := cmp.Diff(tt.failed, with(r, doctor.Failed)); diff != "" {
				t.Errorf("failed:\n%s", diff)
			}
			if diff := cmp.Diff(tt.warned, with(r, doctor.Warned)); diff != "" {
				t.Errorf("warned:\n%s", diff)
			}
			for _, f := range r.Findings {
				if f.Verdict == doctor.Failed || f.Verdict == doctor.Warned {
					if !strings.Contains(f.Seen, tt.seen) || !strings.Contains(f.Mend, tt.mendHolds) || f.Matters == "" || r.Score == 100 {
						t.Errorf("score %d, %+v", r.Score, f)
					}
					break
				}
			}
		})
	}
}

func TestSlowReceiver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		took    time.Duration
		verdict doctor.Verdict
	}{{2 * time.Second, doctor.Warned}, {4 * time.Second, doctor.Failed}} { // contract 10.4
		r := examine(t, healthy(t, receiver.Options{}), func(o *doctor.Options) { o.Caller = steady{o.Caller, tt.took} })
		if ids := with(r, tt.verdict); !slices.Contains(ids, "notify.one") || !slices.Contains(ids, "endurance.time") {
			t.Errorf("answers take %v: %s are %v", tt.took, tt.verdict, ids)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r := examine(t, http.NotFoundHandler(), func(o *doctor.Options) { o.URL = gone.URL })
	if r.Failed != 1 || r.Findings[0].Verdict != doctor.Failed || r.Skipped != len(r.Findings)-1 || r.Score != 0 {
		t.Errorf("%+v", r)
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	r := examine(t, sick(t, func(w http.ResponseWriter, _ *http.Request, token string, body []byte) bool {
		return token == "" && strings.Contains(string(body), "missed") && plain(w, 500, "")
	}), nil)
	var out strings.Builder
	if err := r.WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Class   string `xml:"classname,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(out.String()), &suites); err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, s := range suites.Suites {
		for _, c := range s.Cases {
			if c.Failure != nil && strings.Contains(c.Failure.Message, "500") {
				failed = append(failed, c.Class)
			}
		}
	}
	if want := []string{"lifecycle.missed", "lifecycle.mixed"}; !slices.Equal(failed, want) || suites.Failures != 2 || suites.Tests != len(r.Findings) || len(suites.Suites) != 5 {
		t.Errorf("failed %v of %d; %d suites\n%s", failed, suites.Tests, len(suites.Suites), out.String())
	}
}
