package heliograph

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what an error means to whoever called. There are few, and one table at the edge
// (internal/httpapi) turns them into HTTP statuses and Graph's codes.
type Kind uint8

// The kinds of error.
const (
	Internal        Kind = iota // ours: the caller learns nothing but that it happened
	Invalid                     // the request can never succeed as it stands (400)
	Unauthenticated             // no valid token (401)
	Denied                      // a valid token that does not suffice (403)
	NotFound                    // nothing there that this caller may see (404)
	Conflict                    // something like it exists, or it changed meanwhile (409)
	TooLarge                    // over a size limit (413)
	Unsupported                 // a content type that is not spoken here (415)
	Limited                     // too much at once: come back later (429)
	Unavailable                 // for now nobody can do it (503)
	Full                        // no room on disk (507)
)

// String returns the kind's name as logs and metrics show it.
func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case Unauthenticated:
		return "unauthenticated"
	case Denied:
		return "denied"
	case NotFound:
		return "not_found"
	case Conflict:
		return "conflict"
	case TooLarge:
		return "too_large"
	case Unsupported:
		return "unsupported"
	case Limited:
		return "limited"
	case Unavailable:
		return "unavailable"
	case Full:
		return "full"
	case Internal:
	}
	return "internal"
}

// Error is an error that a caller may be told of.
type Error struct {
	Kind Kind
	// Rule names the rule that refused, in dotted words ("create.expiration.maximum"). It reaches the log,
	// the metric and the response's Heliograph-Rule header.
	Rule string
	// Code is Graph's error code when the kind's own does not fit ("ExtensionError"), else empty.
	Code string
	// Message is told to the caller. It holds no secret and no inner detail.
	Message string
	// Detail is told to the caller beside the message, whose words may be Graph's. May be empty.
	Detail string
	// RetryAfter, when not zero, tells the caller how long to wait.
	RetryAfter time.Duration
	// Err is the cause, for the log only.
	Err error
}

// Errorf makes an error of a kind, named by its rule. A %w in format becomes the cause, and its text is part
// of the message: wrap only what the caller may read.
func Errorf(kind Kind, rule, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Rule: rule, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns the message, and the cause behind it where the message does not tell it already.
func (e *Error) Error() string {
	if e.Message == "" && e.Err != nil {
		return e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, or Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
