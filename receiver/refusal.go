package receiver

import (
	"errors"
	"fmt"
	"log/slog"
)

// Reason is why a notification was refused.
type Reason string

// The reasons.
const (
	Malformed           Reason = "malformed"            // not what a sender sends
	UnknownSubscription Reason = "unknown_subscription" // Options.ClientState does not know it
	LookupFailed        Reason = "lookup_failed"        // Options.ClientState could not say
	WrongClientState    Reason = "client_state"
	NotProven           Reason = "validation_token" // no valid token for its tenant
	KeysUnavailable     Reason = "token_keys"       // the tokens cannot be verified now
	NoKey               Reason = "no_key"           // for the certificate that sealed the data
	NotDecrypted        Reason = "decrypt"          // the sealed data is not as it was sealed
	HandlerFailed       Reason = "handler"          // OnChange or OnLifecycle returned an error
	Busy                Reason = "busy"             // too much waits behind answers
)

var (
	errNeither = errors.New("it is neither a change nor a lifecycle event of a subscription")
	errState   = errors.New("its clientState is not the subscription's")
	errBusy    = errors.New("too much is waiting to be handled")
)

// Refusal is a notification that was not handled.
type Refusal struct {
	Reason Reason
	// Notification is nil when the request as a whole was refused.
	Notification *Notification
	// Retry reports that the sender was asked to come again.
	Retry bool
	// Err says more.
	Err error
}

// Error says what was refused and why.
func (r *Refusal) Error() string {
	if r.Notification == nil {
		return fmt.Sprintf("request refused (%s): %v", r.Reason, r.Err)
	}
	return fmt.Sprintf("%v refused (%s): %v", r.Notification, r.Reason, r.Err)
}

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// LogValue shows the refusal without secrets.
func (r *Refusal) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("reason", string(r.Reason)), slog.Bool("retry", r.Retry), slog.Any("error", r.Err)}
	if r.Notification != nil {
		attrs = append(attrs, slog.Any("notification", r.Notification))
	}
	return slog.GroupValue(attrs...)
}
