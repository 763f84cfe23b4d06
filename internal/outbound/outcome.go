package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"heliograph.dev"
)

// noteAnswer writes down what the head of an answer says.
func noteAnswer(a *heliograph.Attempt, resp *http.Response) {
	a.Status = resp.StatusCode
	switch resp.StatusCode / 100 {
	case 2:
		a.Reason = heliograph.Delivered
	case 3:
		a.Reason = heliograph.Redirected
		a.Detail = redirectDetail(resp.Header.Get("Location"))
	default:
		a.Reason = heliograph.RefusedStatus
	}
	a.RetryAfter = retryAfter(resp.Header, a.Started)
}

// redirectDetail names where a redirect leads: a login page that took a receiver's place is known by it.
func redirectDetail(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return "redirects are not followed"
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return "redirects are not followed: " + cut(u.String())
}

// retryAfter reads a Retry-After of either form. A date counts from the answer's own Date where it has one:
// the receiver's clock need not agree with ours.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return max(at.Sub(now), 0)
}

// noteFailure writes down why there was no whole answer. ctx is the caller's, within the one with the
// attempt's time-out.
func noteFailure(ctx, within context.Context, a *heliograph.Attempt, err error, u *url.URL) {
	a.Reason, a.Detail = classify(err, u)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		a.Reason, a.Detail = heliograph.Stopped, "the call was given up here"
	case within.Err() != nil && a.Reason != heliograph.AddressRefused:
		a.Reason, a.Detail = heliograph.TimedOut, "no whole answer in time"
	}
}

// classify turns an error of the transport into a reason and a text for a person.
func classify(err error, u *url.URL) (heliograph.Reason, string) {
	var (
		lookup *net.DNSError
		secure *tlsError
		op     *net.OpError
	)
	switch {
	case errors.Is(err, errAddress):
		return heliograph.AddressRefused, "the address of " + u.Host + " is not allowed"
	case errors.As(err, &lookup):
		return orTimedOut(err, heliograph.ConnectFailed), "lookup " + lookup.Name + ": " + cut(lookup.Err)
	case errors.As(err, &secure):
		return orTimedOut(err, heliograph.TLSFailed), "TLS with " + u.Host + ": " + tlsDetail(secure.err)
	case errors.As(err, &op) && op.Op == "dial":
		return orTimedOut(err, heliograph.ConnectFailed), "connect to " + u.Host + ": " + connectDetail(err)
	case errors.Is(err, context.DeadlineExceeded):
		return heliograph.TimedOut, "no connection to " + u.Host + " in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op):
		return heliograph.ConnectionBroke, "the connection was closed before a whole answer"
	case strings.Contains(err.Error(), "response headers exceeded"):
		return heliograph.ConnectionBroke, "the answer's headers are too long"
	}
	return heliograph.ConnectionBroke, "the answer is not HTTP"
}

func orTimedOut(err error, otherwise heliograph.Reason) heliograph.Reason {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return heliograph.TimedOut
	}
	return otherwise
}

// connectDetail names the system's reason, not the address.
func connectDetail(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return "no connection in time"
}

// tlsDetail tells what crypto/tls says, which is about certificates and versions. A peer that does not speak
// TLS would have its bytes quoted.
func tlsDetail(err error) string {
	var (
		record tls.RecordHeaderError
		chain  *tls.CertificateVerificationError
		host   x509.HostnameError
	)
	switch {
	case errors.As(err, &record):
		return "the other side does not speak TLS"
	case errors.As(err, &host):
		return "the certificate is not for this host"
	case errors.As(err, &chain):
		return cut(chain.Err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return "no handshake in time"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the other side closed the connection"
	}
	return cut(err.Error())
}

// cut bounds a text that somebody else may have had a hand in, and makes it printable.
func cut(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
