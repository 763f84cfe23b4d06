package doctor

import (
	"context"
	"fmt"
	"html"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

// greet makes the call that proves an endpoint, as contract 4.1 to 4.5 describe it.
func (v *visit) greet(ctx context.Context, to, token string) exchange {
	mark := "?"
	if strings.Contains(to, "?") {
		mark = "&"
	}
	return v.Caller.Exchange(ctx, outbound.Request{
		URL: to + mark + "validationToken=" + url.QueryEscape(token), Timeout: handshakeLimit,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
	})
}

func plainToken() string {
	return "Validation: Testing client application reachability for subscription Request-Id: " + heliograph.NewGUID().String()
}

// echoed judges an answer by status and body.
func echoed(x *exchange, token string) seen {
	switch a := &x.Attempt; {
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		return seen{Failed, answered(x), "Let the handshake through without sign-in: it carries no Authorization header."}
	case a.Status == http.StatusUnsupportedMediaType:
		return seen{Failed, answered(x), "The request has Content-Type text/plain and no body: look for validationToken before you read JSON."}
	case a.Reason == heliograph.Redirected:
		return seen{Failed, answered(x), "Subscribe with the address that answers itself: redirects are never followed."}
	case a.Status == 0:
		return fail(answered(x))
	case a.Status != http.StatusOK:
		return fail(answered(x) + ", not 200")
	}
	if got := string(x.Body); got != token {
		return fail(difference(token, got))
	}
	return pass(answered(x))
}

// difference says in words how what came back is not the token.
func difference(want, got string) string {
	unescaped, err := url.QueryUnescape(got)
	switch {
	case got == "":
		return "answered 200 with an empty body"
	case err == nil && unescaped == want:
		return "gave the token back still encoded"
	case strings.TrimSpace(got) == want:
		return fmt.Sprintf("added white space: %q", got[strings.Index(got, want)+len(want):])
	case strings.Trim(got, `"`) == want:
		return "put the token in quotes, as JSON"
	case html.UnescapeString(got) == want:
		return "escaped the token as HTML"
	case strings.Contains(got, want):
		return "wrote more than the token"
	case strings.EqualFold(got, want):
		return "changed the case of the token"
	}
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	return fmt.Sprintf("byte %d differs: %.20q in place of %.20q", n, got[n:], want[n:])
}

func echoPlain(ctx context.Context, v *visit) seen {
	token := plainToken()
	x := v.greet(ctx, v.URL, token)
	if x.Attempt.Status == 0 && x.Attempt.Reason != heliograph.TimedOut {
		v.lost = "the endpoint cannot be reached"
	}
	return echoed(&x, token)
}

func echoMedia(ctx context.Context, v *visit) seen {
	x := v.greet(ctx, v.URL, "<script>alert(1)</script>")
	if x.Attempt.Status != http.StatusOK {
		return skip("no answer with 200 to look at")
	}
	media, _, _ := mime.ParseMediaType(x.Header.Get("Content-Type")) // what cannot be parsed is not text/plain
	if media != "text/plain" {
		return fail(fmt.Sprintf("Content-Type is %q", x.Header.Get("Content-Type")))
	}
	return pass(x.Header.Get("Content-Type"))
}

func echoHostile(ctx context.Context, v *visit) seen {
	for _, token := range []string{
		plainToken() + " +/=%&", "a+b c%2Bd%20e", "Case-MATTERS: AbCdEf", "<b>&amp;\"quoted\"</b>", "umlaut ä, snowman ☃", " spaces ", strings.Repeat("long-", 200),
	} {
		x := v.greet(ctx, v.URL, token)
		if s := echoed(&x, token); s.verdict != Passed {
			s.text = fmt.Sprintf("token %.30q: %s", token, s.text)
			return s
		}
	}
	return pass("7 tokens")
}

func echoLifecycle(ctx context.Context, v *visit) seen {
	if v.LifecycleURL == v.URL {
		return pass("it is the same URL")
	}
	token := plainToken()
	x := v.greet(ctx, v.LifecycleURL, token)
	return echoed(&x, token)
}

func echoTwice(ctx context.Context, v *visit) seen {
	var both [2]seen
	var wg sync.WaitGroup
	for i, to := range []string{v.URL, v.LifecycleURL} {
		wg.Go(func() {
			token := plainToken()
			x := v.greet(ctx, to, token)
			both[i] = echoed(&x, token)
		})
	}
	wg.Wait()
	return both[0].or(both[1])
}

func echoTime(ctx context.Context, v *visit) seen {
	token := plainToken()
	x := v.greet(ctx, v.URL, token)
	took := x.Attempt.Took.Round(time.Millisecond)
	switch {
	case x.Attempt.Reason == heliograph.TimedOut:
		return fail(answered(&x))
	case took > firstLimit:
		return warn(fmt.Sprintf("took %v", took))
	}
	return pass(fmt.Sprintf("took %v", took))
}
