package httpapi

import (
	"context"
	"net/http"
	"time"
	"unicode/utf8"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe"
)

// handshakeSummary is a handshake in a list.
type handshakeSummary struct {
	ID       string            `json:"id"`
	Property string            `json:"property"`
	URL      string            `json:"url"`
	Proved   bool              `json:"proved"`
	Rule     string            `json:"rule,omitempty"`
	Started  string            `json:"started"`
	TookMS   float64           `json:"tookMs"`
	Reason   heliograph.Reason `json:"reason"`
	Detail   string            `json:"detail,omitempty"`
}

// handshakeView is a handshake with all that was said, so that a developer sees what his endpoint did.
type handshakeView struct {
	handshakeSummary
	Expected  string             `json:"expected"`
	DiffersAt *int               `json:"differsAt,omitempty"`
	Request   string             `json:"request"`
	Answer    *handshakeAnswer   `json:"answer"`
	Address   string             `json:"address,omitempty"`
	TLS       string             `json:"tls,omitempty"`
	TimingMS  map[string]float64 `json:"timingMs"`
}

type handshakeAnswer struct {
	Status     int                 `json:"status"`
	Header     map[string][]string `json:"header"`
	Body       string              `json:"body"`
	BodyBase64 []byte              `json:"bodyBase64,omitempty"` // in place of a body that is no text
	Truncated  bool                `json:"truncated"`
}

func (a *API) handshakes(_ context.Context, caller *heliograph.Caller, _ none) ([]subscribe.Handshake, error) {
	return a.opts.Handshakes.List(caller), nil
}

func (a *API) handshake(_ context.Context, caller *heliograph.Caller, id heliograph.GUID) (subscribe.Handshake, error) {
	h, found := a.opts.Handshakes.Get(caller, id)
	if !found {
		return h, notFound("handshake.not_found")
	}
	return h, nil
}

func listedHandshakes(_ *exchange, list []subscribe.Handshake) answer {
	value := make([]handshakeSummary, len(list))
	for i := range list {
		value[i] = summaryOf(&list[i])
	}
	return answer{status: http.StatusOK, body: map[string]any{"value": value}}
}

func summaryOf(h *subscribe.Handshake) handshakeSummary {
	attempt := &h.Exchange.Attempt
	return handshakeSummary{
		ID: h.ID.String(), Property: h.Property, URL: h.URL, Proved: h.Rule == "", Rule: h.Rule,
		Started: stamp(attempt.Started), TookMS: milliseconds(attempt.Took), Reason: attempt.Reason, Detail: attempt.Detail,
	}
}

func shownHandshake(_ *exchange, h subscribe.Handshake) answer {
	x := &h.Exchange
	v := handshakeView{
		handshakeSummary: summaryOf(&h), Expected: h.Token, Request: x.Sent, Address: x.Address, TLS: x.TLS,
		TimingMS: timings(x.Resolved, x.Connected, x.Secured, x.FirstByte),
	}
	if x.Attempt.Status != 0 {
		v.Answer = &handshakeAnswer{Status: x.Attempt.Status, Header: x.Header, Truncated: x.Truncated}
		if utf8.Valid(x.Body) {
			v.Answer.Body = string(x.Body)
		} else {
			v.Answer.BodyBase64 = x.Body
		}
		if h.Differs >= 0 {
			v.DiffersAt = &h.Differs
		}
	}
	return answer{status: http.StatusOK, body: v}
}

// timings tells when each step of an exchange was done, if there was one.
func timings(resolved, connected, secured, firstByte time.Duration) map[string]float64 {
	done := make(map[string]float64)
	for name, at := range map[string]time.Duration{
		"resolved": resolved, "connected": connected, "secured": secured, "firstByte": firstByte,
	} {
		if at > 0 {
			done[name] = milliseconds(at)
		}
	}
	return done
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
