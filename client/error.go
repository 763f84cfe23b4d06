package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Error is what the server refused a call with.
type Error struct {
	Status int // of HTTP
	// Code and Message are Graph's.
	Code, Message string
	// Rule names the rule that refused, Detail what in the request it refused, where the server tells.
	Rule, Detail string
	// Handshake is the id of the exchange with the endpoint, when that failed: see [Client.Handshake].
	Handshake string
	// RequestID finds the call in the server's log.
	RequestID string
	// RetryAfter is how long the server asks to wait, or zero.
	RetryAfter time.Duration
}

// Error tells the status, the code, the message and the detail.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return text
}

// IsNotFound reports whether err says that there is no such thing, or none that the caller may see.
func IsNotFound(err error) bool {
	e, found := errors.AsType[*Error](err)
	return found && e.Status == http.StatusNotFound
}

// errorOf makes an Error of an answer, whether or not it came from a Heliograph server.
func errorOf(response *http.Response, body []byte) error {
	e := &Error{
		Status:    response.StatusCode,
		Rule:      response.Header.Get("Heliograph-Rule"),
		Detail:    response.Header.Get("Heliograph-Detail"),
		Handshake: response.Header.Get("Heliograph-Handshake"),
		RequestID: response.Header.Get("Request-Id"),
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	var wire struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Error.Code == "" {
		e.Code, e.Message = http.StatusText(e.Status), "the answer is not from a Heliograph server"
		return e
	}
	e.Code, e.Message = wire.Error.Code, wire.Error.Message
	return e
}
