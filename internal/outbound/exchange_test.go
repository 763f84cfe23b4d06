package outbound_test

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

func TestExchangeKeepsWhatWasSaid(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	addr := secure(t, serverConfig(ca.issue(t, "127.0.0.1", now().Add(time.Hour))), func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, r.URL.Query().Get("validationToken")+string(body))
	})
	c := client(t, outbound.Options{AllowLoopback: true, RootCAs: ca.pool})
	x := c.Exchange(t.Context(), outbound.Request{
		URL:     "https://" + addr + "/hook?validationToken=a+b%3ac",
		Header:  http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Timeout: patient,
	})
	want := "POST /hook?validationToken=a+b%3ac HTTP/1.1\r\nHost: " + addr + "\r\nContent-Length: 0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	if x.Sent != want { // contract 4.1, 4.2, 4.4, 4.5, 4.11
		t.Errorf("sent %q\nwant %q", x.Sent, want)
	}
	if !x.Attempt.OK() || x.Attempt.Status != 200 || string(x.Body) != "a b:c" || x.Header.Get("Content-Type") != "text/plain" || x.Truncated {
		t.Errorf("answer %+v", x)
	}
	if x.Address != addr || x.TLS != "TLS 1.3" {
		t.Errorf("spoke %s with %s", x.TLS, x.Address)
	}
	if steps := []time.Duration{0, x.Connected, x.Secured, x.FirstByte, x.Attempt.Took}; x.Connected == 0 || !slices.IsSorted(steps) {
		t.Errorf("steps out of order: %+v", x)
	}
}

func TestExchangeOfFailures(t *testing.T) {
	t.Parallel()
	long := newRaw(t, answerThen("HTTP/1.1 200 OK\r\n\r\n", func(c net.Conn) { repeat(c, "abc") }))
	cutOff := newRaw(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))
	slow := newRaw(t, answerThen("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
	c := dev(t, outbound.Options{})
	call := func(url string, timeout time.Duration) outbound.Exchange {
		return c.Exchange(t.Context(), outbound.Request{URL: url, Timeout: timeout})
	}
	if x := call("http://"+long.addr, patient); !x.Truncated || len(x.Body) == 0 || len(x.Body) > 64<<10 {
		t.Errorf("long: %d bytes, truncated %v", len(x.Body), x.Truncated)
	}
	if x := call("http://"+cutOff.addr, patient); x.Attempt.Reason != heliograph.ConnectionBroke || string(x.Body) != "abc" {
		t.Errorf("cut off: %+v", x)
	}
	if x := call("http://"+slow.addr, impatient); x.Attempt.Reason != heliograph.TimedOut || string(x.Body) != "abc" || !strings.HasPrefix(x.Sent, "POST / ") {
		t.Errorf("slow: %+v", x)
	}
	if x := call("https://10.0.0.1/", patient); x.Attempt.Reason != heliograph.AddressRefused || x.Sent != "" {
		t.Errorf("address: %+v", x)
	}
}
