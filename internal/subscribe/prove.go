package subscribe

import (
	"bytes"
	"context"
	"mime"
	"net/url"
	"strings"
	"time"

	"heliograph.dev"
)

// Call is one request of a handshake: a POST without a body.
type Call struct {
	URL    string
	Header map[string][]string // all of it, but what HTTP itself needs
	// LatestTLS is the subscription's latestSupportedTlsVersion.
	LatestTLS string
	Timeout   time.Duration // of the whole exchange
}

// Exchange is one call as it went.
type Exchange struct {
	Attempt heliograph.Attempt
	Sent    string // the request's head as it went out
	// Header and Body are the answer's, the body cut at a bound; Truncated says that it was longer.
	Header    map[string][]string
	Body      []byte
	Truncated bool
	// Address is what answered, TLS the version spoken.
	Address, TLS string
	// When each step was done, counted from the start; zero for a step that there was not.
	Resolved, Connected, Secured, FirstByte time.Duration
}

// endpoint is a property that holds a URL, and the URL.
type endpoint struct{ property, url string }

// endpointsOf returns the endpoints to prove, notificationUrl first. Equal ones are proved twice (contract 4.9).
func endpointsOf(s *heliograph.Subscription) []endpoint {
	list := []endpoint{{"notificationUrl", s.NotificationURL}}
	if s.LifecycleNotificationURL != "" {
		list = append(list, endpoint{"lifecycleNotificationUrl", s.LifecycleNotificationURL})
	}
	return list
}

// prove has endpoints echo a token, one after the other, and returns a *HandshakeError for the first that
// does not.
func (s *Service) prove(ctx context.Context, d *draft, request heliograph.GUID, endpoints []endpoint) error {
	token := s.validationToken(request)
	for _, e := range endpoints {
		x := s.options.Endpoints.Exchange(ctx, Call{
			URL:       withToken(e.url, token),
			Header:    map[string][]string{"Content-Type": {"text/plain; charset=utf-8"}},
			LatestTLS: d.sub.LatestSupportedTLSVersion,
			Timeout:   s.profile.HandshakeTimeout,
		})
		h := Handshake{
			ID: heliograph.NewGUID(), Tenant: d.sub.Tenant, App: d.sub.App,
			Property: e.property, URL: e.url, Token: token, Exchange: x, Differs: difference(&x, token),
		}
		refusal := s.verdict(&h)
		if refusal != nil {
			h.Rule = refusal.Rule
		}
		s.book.add(&h)
		if refusal != nil {
			return &HandshakeError{Err: refusal, Exchange: h.ID}
		}
	}
	return nil
}

// validationToken returns the text that an endpoint must give back (contract 4.3).
func (s *Service) validationToken(request heliograph.GUID) string {
	if request.IsZero() {
		request = heliograph.NewGUID()
	}
	token := "Validation: Testing client application reachability for subscription Request-Id: " + request.String()
	if s.options.HostileToken {
		token += " +/=%&"
	}
	return token
}

// withToken adds the token to a URL, whose own query stays as it is (contract 4.1).
func withToken(raw, token string) string {
	mark := "?"
	if strings.Contains(raw, "?") {
		mark = "&"
	}
	return raw + mark + "validationToken=" + formEncode(token)
}

// formEncode is the form encoding with lower-case hex digits (contract 4.4).
func formEncode(s string) string {
	b := []byte(url.QueryEscape(s))
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// difference returns the first byte at which the answer's body is not the token, or -1 when it is the token.
func difference(x *Exchange, token string) int {
	if !x.Truncated && string(x.Body) == token {
		return -1
	}
	n := 0
	for n < len(x.Body) && n < len(token) && x.Body[n] == token[n] {
		n++
	}
	return n
}

// verdict judges an exchange by contract 4.6: 200, text/plain, the token to the byte, in time. It is nil when
// the endpoint has proved itself.
func (s *Service) verdict(h *Handshake) *heliograph.Error {
	a := &h.Exchange.Attempt
	switch a.Reason {
	case heliograph.Delivered, heliograph.RefusedStatus, heliograph.Redirected:
	case heliograph.TimedOut:
		return s.refuseHandshake("handshake.timeout", a)
	case heliograph.AddressRefused:
		return s.refuseHandshake("handshake.address", a)
	case heliograph.TLSFailed:
		return s.refuseHandshake("handshake.tls", a)
	case heliograph.Stopped:
		return s.refuseHandshake("handshake.stopped", a)
	default:
		return s.refuseHandshake("handshake.connect", a)
	}
	switch {
	case a.Status != 200:
		return s.refuseHandshake("handshake.status", a)
	case !isPlainText(h.Exchange.Header["Content-Type"]):
		return s.refuseHandshake("handshake.content_type", a)
	case h.Differs >= 0:
		return s.refuseHandshake("handshake.echo", a)
	}
	return nil
}

func (s *Service) refuseHandshake(name string, a *heliograph.Attempt) *heliograph.Error {
	return s.profile.Refuse(name, map[string]string{"status": statusName(a.Status), "detail": a.Detail})
}

func isPlainText(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	media, _, _ := mime.ParseMediaType(contentType[0]) // a broken parameter does not matter
	return media == "text/plain"
}
