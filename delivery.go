package heliograph

import "time"

// Endpoint is a URL that notifications are posted to. What is pending for one endpoint may go out in one POST,
// and its health is one.
type Endpoint string

// Reason names why something happened or did not: a word for the log, the metric, the API and the page.
type Reason string

// How an attempt to reach an endpoint ended.
const (
	Delivered       Reason = "delivered"        // 2xx in time
	RefusedStatus   Reason = "status"           // an answer other than 2xx
	TimedOut        Reason = "timeout"          // no whole answer in time
	ConnectFailed   Reason = "connect"          // DNS, TCP
	TLSFailed       Reason = "tls"              // handshake or certificate
	AddressRefused  Reason = "address_refused"  // the address guard says no
	Redirected      Reason = "redirect"         // 3xx: never followed
	ConnectionBroke Reason = "connection_broke" // closed or garbled before a whole answer
	Stopped         Reason = "stopped"          // the server is stopping; nothing is known of the receiver
)

// Why a notification was not, or not yet, delivered.
const (
	GivenUpWindow   Reason = "window"               // the retry window ended
	GivenUpRemoved  Reason = "subscription_removed" // deleted meanwhile
	GivenUpExpired  Reason = "subscription_expired"
	GivenUpLost     Reason = "change_unreadable" // its frame failed its checksum or is gone
	GivenUpDropped  Reason = "dropped"           // its endpoint answered far too late far too often
	GivenUpUnsealed Reason = "unsealable"        // its certificate cannot be used
	GivenUpPaused   Reason = "paused"            // its subscription was paused for longer than is kept
	GivenUpUnparked Reason = "unparkable"        // the store refuses for ever to keep it for its endpoint
	GivenUpRefused  Reason = "refused"           // its endpoint takes others, and those that follow it, but not this one
	ParkedIll       Reason = "endpoint_ill"
	ParkedSlow      Reason = "endpoint_slow"      // it answers late too often: new ones wait
	ParkedBehind    Reason = "endpoint_behind"    // more pending than memory may hold
	ParkedApart     Reason = "subscription_apart" // its endpoint refuses it while it takes others
	ParkedPaused    Reason = "subscription_paused"
	WithheldType    Reason = "change_type" // why a change did not reach a subscription
	WithheldFilter  Reason = "filter"
	WithheldAccess  Reason = "unauthorized"
)

// Attempt is one POST to one endpoint, as it went.
type Attempt struct {
	Endpoint Endpoint
	Started  time.Time
	Took     time.Duration
	Reason   Reason
	Status   int // HTTP status, 0 when there was none
	// RetryAfter is what the answer asked for, or zero.
	RetryAfter time.Duration
	// Detail says more for a person ("lookup example.com: no such host"). URLs in it carry no query.
	Detail string
	// Said is what was said, or nil when nobody listened. It is shared and not to be changed.
	Said *Said
}

// Said is what was said in an attempt and when, for a person to see. The request's body is not part of it, and what
// costs too much to hear under load may be missing.
type Said struct {
	Sent      string              // the head of the request as it went out
	Header    map[string][]string // of the answer
	Body      []byte              // its beginning
	Truncated bool                // it went on
	// Address is the address and port that answered, TLS the version spoken; Kept says that the connection was there
	// from before.
	Address, TLS string
	Kept         bool
	// When each step was done, counted from the start; zero for one that there was not.
	Resolved, Connected, Secured, FirstByte time.Duration
}

// OK reports whether the receiver has it.
func (a *Attempt) OK() bool { return a.Reason == Delivered }
