package faults_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/faults"
)

func add(tb testing.TB, b *faults.Book, f faults.Fault) faults.State {
	tb.Helper()
	s, err := b.Add(f)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// pattern tells of each of n POSTs whether it was hit.
func pattern(b *faults.Book, n int) string {
	var hit strings.Builder
	for range n {
		mark := "."
		if len(b.OnPost("http://hook/a")) > 0 {
			mark = "x"
		}
		hit.WriteString(mark)
	}
	return hit.String()
}

func TestWhichAreHit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault faults.Fault
		want  string
	}{
		"all":             {faults.Fault{}, "xxxxxxxx"},
		"after some":      {faults.Fault{Skip: 3}, "...xxxxx"},
		"so many":         {faults.Fault{Times: 2}, "xx......"},
		"so many, later":  {faults.Fault{Skip: 1, Times: 2}, ".xx....."},
		"this endpoint":   {faults.Fault{Endpoint: "http://hook/"}, "xxxxxxxx"},
		"another one":     {faults.Fault{Endpoint: "http://other/"}, "........"},
		"a share of them": {faults.Fault{Share: 0.5, Seed: 7}, "xx..xxxx"},
		"another seed":    {faults.Fault{Share: 0.5, Seed: 8}, "....xx.x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.fault.Kind = faults.Drop
			for range 2 { // the same again
				b := new(faults.Book)
				add(t, b, tt.fault)
				if got := pattern(b, 8); got != tt.want {
					t.Errorf("hit %s, want %s", got, tt.want)
				}
			}
		})
	}
}

func TestShareIsAShare(t *testing.T) {
	t.Parallel()
	b := new(faults.Book)
	add(t, b, faults.Fault{Kind: faults.Drop, Share: 0.2, Seed: 1})
	pattern(b, 10_000)
	if s := b.List()[0]; s.Seen != 10_000 || s.Hit < 1800 || s.Hit > 2200 {
		t.Errorf("a fifth of %d is %d", s.Seen, s.Hit)
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	b := new(faults.Book)
	add(t, b, faults.Fault{Kind: faults.Latency, Delay: time.Second})
	add(t, b, faults.Fault{Kind: faults.Throttled, Method: "post", Path: "/v1.0/Subscriptions", App: "A", RetryAfter: 3 * time.Second, Times: 1})
	add(t, b, faults.Fault{Kind: faults.Forbidden, Method: "DELETE"})
	add(t, b, faults.Fault{Kind: faults.Drop}) // not for calls
	for _, tt := range []struct {
		call  faults.Call
		kind  heliograph.Kind
		after time.Duration
		ok    bool
	}{
		{call: faults.Call{App: "a", Method: "GET", Path: "/v1.0/subscriptions"}, ok: true},
		{call: faults.Call{App: "b", Method: "POST", Path: "/v1.0/subscriptions"}, ok: true},
		{call: faults.Call{App: "a", Method: "POST", Path: "/beta/subscriptions"}, ok: true},
		{call: faults.Call{App: "a", Method: "POST", Path: "/v1.0/subscriptions"}, kind: heliograph.Limited, after: 3 * time.Second},
		{call: faults.Call{App: "a", Method: "POST", Path: "/v1.0/subscriptions"}, ok: true}, // it was for one
		{call: faults.Call{App: "a", Method: "DELETE", Path: "/v1.0/subscriptions/1"}, kind: heliograph.Denied},
	} {
		wait, err := b.OnCall(tt.call)
		if wait != time.Second || (err == nil) != tt.ok {
			t.Errorf("%+v: waits %v, %v", tt.call, wait, err)
			continue
		}
		if e, found := errors.AsType[*heliograph.Error](err); !tt.ok && (!found || e.Kind != tt.kind || e.RetryAfter != tt.after || !strings.HasPrefix(e.Rule, "fault.")) {
			t.Errorf("%+v: refused with %+v", tt.call, e)
		}
	}
}

func TestBook(t *testing.T) {
	t.Parallel()
	b := new(faults.Book)
	first, second := add(t, b, faults.Fault{Kind: faults.Drop}), add(t, b, faults.Fault{Kind: faults.Outage})
	if !b.Remove(first.ID) || b.Remove(first.ID) || len(b.List()) != 1 || b.List()[0].ID != second.ID {
		t.Errorf("left %+v", b.List())
	}
	b.Clear()
	for range faults.MaxFaults {
		add(t, b, faults.Fault{Kind: faults.Drop})
	}
	if _, err := b.Add(faults.Fault{Kind: faults.Drop}); heliograph.KindOf(err) != heliograph.Limited {
		t.Errorf("one too many: %v", err)
	}
	for _, bad := range []faults.Fault{
		{},
		{Kind: "nothing"},
		{Kind: faults.Drop, Share: -1},
		{Kind: faults.Drop, Share: 2},
		{Kind: faults.Drop, Skip: -1},
		{Kind: faults.Latency},
		{Kind: faults.Delay, Delay: time.Hour},
		{Kind: faults.Drop, Path: "/v1.0"},
		{Kind: faults.Conflict, Endpoint: "http://hook"},
		{Kind: faults.Throttled, RetryAfter: -1},
	} {
		if _, err := b.Add(bad); heliograph.KindOf(err) != heliograph.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestAlter(t *testing.T) {
	t.Parallel()
	const body = `{"value":[{"id":"1","clientState":"s"},{"id":"2","encryptedContent":{"dataSignature":"c2ln","encryptionCertificateId":"c","data":"d"}}],"validationTokens":["t"]}`
	for kind, check := range map[faults.Kind]func(string) bool{
		faults.Truncate:    func(s string) bool { return s == body[:len(body)/2] },
		faults.Reorder:     func(s string) bool { return strings.Index(s, `"id":"2"`) < strings.Index(s, `"id":"1"`) },
		faults.ClientState: func(s string) bool { return strings.Count(s, "forged by fault") == 2 && !strings.Contains(s, `"s"`) },
		faults.Signature: func(s string) bool {
			return strings.Contains(s, `"dataSignature":"AAAA`) && strings.Contains(s, `"data":"d"`)
		},
		faults.Certificate: func(s string) bool { return strings.Contains(s, `"encryptionCertificateId":"fault-`) },
		faults.Issuer:      func(s string) bool { return strings.Contains(s, `"validationTokens":["other t"]`) },
		faults.Drop:        func(s string) bool { return s == body },
	} {
		f := faults.Fault{Kind: kind}
		got, err := f.Alter([]byte(body), func(token string) (string, error) { return "other " + token, nil })
		if err != nil || !check(string(got)) || kind != faults.Truncate && (!json.Valid(got) || faults.Count(got) != 2) {
			t.Errorf("%s: %v: %s", kind, err, got)
		}
	}
}
