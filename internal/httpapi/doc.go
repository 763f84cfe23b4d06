// Package httpapi is what the world sees of Heliograph over HTTP: the Graph API for subscriptions, publishing,
// control, and what operators look at. It knows HTTP and nothing else: rules are the steps' business
// (internal/subscribe, internal/ingest), which it reaches through the small interfaces of [Options].
//
// A request goes one way:
//
//	ids and common headers ─► route table ─► who is it, may he ─► decode ─► call ─► encode ─► one log line
//
// The table (routes.go) holds every route on one line: where it stands, method, path, right, the limit that it
// counts against, handler. Literal parts of a path match in any case, a trailing slash does not count, and
// subscriptions('id') is subscriptions/id (contract 18.2, 18.3). A GET may be a HEAD, and OPTIONS tells the methods.
// What the table has no place for goes to Options.Next. docs/reference describes every route, and a test fails when
// it does not, or when any test's answer is not as described.
//
// The requests of a batch (batch.go) are exchanges like all others: the same way, an own log line, an own place in
// the limits. Only their caller is the batch's.
//
// Every refusal has Graph's error body (contract 5.1), whatever the route. One table (problem.go) turns a
// heliograph.Kind into a status and a code; what is not a *heliograph.Error is told to nobody but the log. The
// headers that explain a refusal: Heliograph-Rule (which rule), Heliograph-Detail (which property of the body),
// Heliograph-Handshake (where the exchange with the endpoint can be read). Heliograph-Ignored names query options
// of a list and properties of an update that were not looked at, Heliograph-Advice what a client does that Graph advises against.
//
// Where Graph's own answer is known, it is given even when HTTP has a better one: a path of the Graph API that is not
// known is a 400 (BadRequest), a body of another type too.
//
// JSON is what the Graph API speaks, whatever a client accepts; Accept chooses how much OData metadata comes along.
//
// Bodies are bounded before and after decompression. Requests are read strictly: exact names, each once, no
// unknown ones (contract 5.10); annotations (names with an @) and null say nothing.
//
// An API may be used by any number of goroutines.
package httpapi
