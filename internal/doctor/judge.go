package doctor

import (
	"fmt"
	"time"

	"heliograph.dev"
)

// answered says in words how an exchange ended.
func answered(x *exchange) string {
	a := &x.Attempt
	took := a.Took.Round(time.Millisecond)
	switch {
	case a.Reason == heliograph.TimedOut:
		return fmt.Sprintf("no whole answer within %v", took)
	case a.Reason == heliograph.Redirected:
		return fmt.Sprintf("answered %d, a redirect, after %v", a.Status, took)
	case a.Status != 0:
		return fmt.Sprintf("answered %d after %v", a.Status, took)
	case a.Detail != "":
		return fmt.Sprintf("%s (%s)", a.Detail, a.Reason)
	}
	return string(a.Reason)
}

// taken judges the answer to what a receiver has to take: a 2xx, soon.
func taken(x *exchange) seen {
	text := answered(x)
	switch a := &x.Attempt; {
	case a.Reason == heliograph.TimedOut:
		return seen{Failed, text, "Answer 202 first and do the work behind it, in a queue."}
	case a.Reason == heliograph.Redirected:
		return seen{Failed, text, "Subscribe with the address that answers itself: redirects are never followed."}
	case a.Status == 401 || a.Status == 403:
		return seen{Failed, text, "Let requests to this path through without sign-in: they carry no Authorization header. Check clientState and validation tokens instead."}
	case a.Status == 413:
		return seen{Failed, text, "Raise the limit on request bodies, in the proxy before the application too."}
	case a.Status == 415:
		return seen{Failed, text, "Take application/json with a charset parameter."}
	case !a.OK():
		return fail(text)
	case a.Took > firstLimit:
		return seen{Failed, text, "Answer 202 first and do the work behind it, in a queue."}
	case a.Took > comfortable:
		return seen{Warned, text, "Answer 202 first and do the work behind it, in a queue."}
	}
	return pass(text)
}

// borne judges the answer to what a receiver should not believe: any answer will do that is no accident.
func borne(x *exchange) seen {
	a := &x.Attempt
	switch text := answered(x); {
	case a.OK() && a.Took <= firstLimit:
		return pass(text)
	case a.Status >= 400 && a.Status < 500:
		return seen{Warned, text, "Answer 202 and drop it: whatever is not a 2xx is sent again for four hours."}
	default:
		return fail(text)
	}
}
