package identity

import (
	"fmt"
	"strings"
	"time"

	"heliograph.dev"
)

// lifetimeText is Graph's own text for a token outside its lifetime (contract 5.28).
const lifetimeText = "Access token has expired or is not yet valid."

const outageRetryAfter = 5 * time.Second

// refuse makes the 401 of a rule, worded as Graph words it (contract 5.28). It may repeat what the token says: the
// caller has the token.
func refuse(rule, format string, args ...any) *heliograph.Error {
	return unauthenticated(rule, "Access token validation failure. "+fmt.Sprintf(format, args...))
}

func unauthenticated(rule, message string) *heliograph.Error {
	return &heliograph.Error{
		Kind:    heliograph.Unauthenticated,
		Rule:    "authenticate." + rule,
		Code:    "InvalidAuthenticationToken",
		Message: message,
	}
}

// unavailable is the answer while an issuer's keys cannot be had. The cause is for the log: it may name inner hosts.
func unavailable(cause error) *heliograph.Error {
	return &heliograph.Error{
		Kind:       heliograph.Unavailable,
		Rule:       "authenticate.issuer_unavailable",
		Message:    "The identity provider of this token cannot be reached. Try again later.",
		RetryAfter: outageRetryAfter,
		Err:        cause,
	}
}

// excerpt quotes what a token says, short enough for a message.
func excerpt(s string) string {
	const most = 120
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
