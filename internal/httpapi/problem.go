package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/batch"
	"heliograph.dev/internal/subscribe"
)

// problem is a refusal as the client sees it.
type problem struct {
	status     int
	code       string
	message    string
	rule       string
	retryAfter time.Duration
}

// ofKind is the one place where a kind of error becomes a status and, unless the error brings its own, one of
// Graph's codes. A kind that passes with time says when to come back.
func ofKind(kind heliograph.Kind) problem {
	switch kind {
	case heliograph.Invalid:
		return problem{status: http.StatusBadRequest, code: "InvalidRequest"}
	case heliograph.Unauthenticated:
		return problem{status: http.StatusUnauthorized, code: "InvalidAuthenticationToken"} // contract 5.28
	case heliograph.Denied:
		return problem{status: http.StatusForbidden, code: "Forbidden"} // contract 5.30
	case heliograph.NotFound:
		return problem{status: http.StatusNotFound, code: "ResourceNotFound"} // contract 5.38
	case heliograph.Conflict:
		return problem{status: http.StatusConflict, code: "Conflict"}
	case heliograph.TooLarge:
		return problem{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLarge"}
	case heliograph.Unsupported:
		return problem{status: http.StatusUnsupportedMediaType, code: "UnsupportedMediaType"}
	case heliograph.Limited:
		return problem{status: http.StatusTooManyRequests, code: "TooManyRequests", retryAfter: time.Second} // contract 5.43
	case heliograph.Unavailable:
		return problem{status: http.StatusServiceUnavailable, code: "ServiceUnavailable", retryAfter: 5 * time.Second}
	case heliograph.Full:
		return problem{status: http.StatusInsufficientStorage, code: "InsufficientStorage", retryAfter: time.Minute}
	case heliograph.Internal:
	}
	return problem{status: http.StatusInternalServerError, code: "InternalServerError"}
}

const (
	internalError = "internal error"
	// statusClientGone is what the log says of a request whose client did not wait. Nobody is sent it.
	statusClientGone = 499
)

// problemOf turns an error into what the client is told of it.
func problemOf(ctx context.Context, err error) problem {
	if _, found := errors.AsType[*methodError](err); found { // as seen in 2025
		return problem{status: http.StatusMethodNotAllowed, code: "methodNotAllowed", message: "The method is not supported for this URL.", rule: "request.method"}
	}
	if missing, found := errors.AsType[*absentError](err); found {
		return problem{status: http.StatusNotImplemented, code: "NotImplemented", message: missing.Error(), rule: missing.rule}
	}
	if lost, found := errors.AsType[*lostError](err); found {
		return problem{status: http.StatusGone, code: lost.Code, message: lost.Error(), rule: "objects.sync_state"}
	}
	if failed, found := errors.AsType[*dependencyError](err); found {
		return problem{status: http.StatusFailedDependency, code: "FailedDependency", message: failed.Error(), rule: "batch.failed_dependency"}
	}
	e, found := errors.AsType[*heliograph.Error](err)
	if !found || e.Kind == heliograph.Internal {
		p := ofKind(heliograph.Internal)
		p.message, p.rule = internalError, "internal"
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			p.status, p.rule = statusClientGone, "request.abandoned"
		}
		return p
	}
	p := ofKind(e.Kind)
	p.message, p.rule = e.Message, e.Rule
	if e.Code != "" {
		p.code = e.Code
	}
	if e.RetryAfter > 0 {
		p.retryAfter = e.RetryAfter
	}
	return p
}

// The error body (contract 5.1).
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    string     `json:"code"`
	Message string     `json:"message"`
	Inner   innerError `json:"innerError"`
}

type innerError struct {
	Code            string `json:"code,omitempty"`
	Date            string `json:"date"`
	Message         string `json:"message,omitempty"`
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
	Status          string `json:"status,omitempty"`
}

// refuse returns the answer that tells the client of err, and notes it for the log line.
func (a *API) refuse(ctx context.Context, x *exchange, err error) answer {
	p := problemOf(ctx, err)
	x.err, x.rule = err, p.rule
	header := make(http.Header)
	header.Set("Heliograph-Rule", headerText(p.rule))
	if p.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.status == http.StatusUnauthorized {
		header.Set("Www-Authenticate", a.challenge(x))
	}
	explain(header, err)
	inner := innerError{
		Date:            a.opts.Now().UTC().Format("2006-01-02T15:04:05"),
		RequestID:       x.id.String(),
		ClientRequestID: x.clientID,
	}
	if p.code == ofKind(heliograph.Limited).code { // as the page on throttling shows it
		inner.Code, inner.Message, inner.Status = "429", "Please retry after", "429"
	}
	return answer{status: p.status, header: header, media: format{}.media(), body: errorBody{errorDetail{Code: p.code, Message: p.message, Inner: inner}}}
}

// graphID is the application that Graph itself is (contract 8.1). Clients ask for tokens for it.
const graphID = "00000003-0000-0000-c000-000000000000"

// challenge returns the WWW-Authenticate header. A request without credentials is told of no error (RFC 6750,
// section 3.1).
func (a *API) challenge(x *exchange) string {
	challenge := `Bearer realm=""`
	if a.opts.AuthorizationURI != nil {
		challenge += fmt.Sprintf(", authorization_uri=%q, client_id=%q", a.opts.AuthorizationURI(x.origin.String()), graphID)
	}
	if x.request.Header.Get("Authorization") != "" {
		challenge += `, error="invalid_token"`
	}
	return challenge
}

// explain adds the headers that say more than the body's literal text may.
func explain(header http.Header, err error) {
	if wrongMethod, found := errors.AsType[*methodError](err); found {
		header.Set("Allow", wrongMethod.allow)
		header.Set("Heliograph-Detail", headerText(wrongMethod.Error()))
	}
	if told, found := errors.AsType[*heliograph.Error](err); found && told.Detail != "" {
		header.Set("Heliograph-Detail", headerText(told.Detail))
	}
	if lost, found := errors.AsType[*lostError](err); found {
		header.Set("Location", lost.location)
	}
	if unreadable, found := errors.AsType[*batch.FormatError](err); found {
		header.Set("Heliograph-Detail", headerText(unreadable.Error()))
	}
	if property, found := errors.AsType[*propertyError](err); found {
		header.Set("Heliograph-Detail", headerText(property.Error()))
	}
	if _, found := errors.AsType[*encodingError](err); found {
		header.Set("Accept-Encoding", "gzip")
	}
	if handshake, found := errors.AsType[*subscribe.HandshakeError](err); found && !handshake.Exchange.IsZero() {
		header.Set("Heliograph-Handshake", handshake.Exchange.String())
	}
}

// headerText makes text fit for a header: visible ASCII, and not much of it.
func headerText(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), 200)]
}

// methodError is a method that a path does not have.
type methodError struct{ method, allow string }

// Error names the method.
func (e *methodError) Error() string {
	return fmt.Sprintf("the method %.20q is not one of %s", e.method, e.allow)
}

func notFound(rule string) error {
	return heliograph.Errorf(heliograph.NotFound, rule, "The object was not found.") // contract 5.38
}

// panicError is a panic that a handler was saved from.
type panicError struct {
	value any
	stack []byte
}

func newPanicError(value any) *panicError { return &panicError{value: value, stack: debug.Stack()} }

// Error returns the panic's value.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }
