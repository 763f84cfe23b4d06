package devissuer

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"heliograph.dev"
)

// fault is an OAuth error in Entra's words. The numbers are Entra's where it has one for the case.
type fault struct {
	status int
	code   string // OAuth's: invalid_client
	number int    // AADSTS…
	text   string
}

// Error returns the text as Entra begins it.
func (f *fault) Error() string { return fmt.Sprintf("AADSTS%d: %s", f.number, f.text) }

func badRequest(code string, number int, format string, args ...any) *fault {
	return &fault{http.StatusBadRequest, code, number, fmt.Sprintf(format, args...)}
}

func badClient(number int, format string, args ...any) *fault {
	return &fault{http.StatusUnauthorized, "invalid_client", number, fmt.Sprintf(format, args...)}
}

func missing(parameter string) *fault {
	return badRequest("invalid_request", 900144, "The request body must contain the following parameter: '%s'.", parameter)
}

func unknownTenant(name string) *fault {
	return badRequest("invalid_request", 90002, "Tenant %q not found. Use a GUID, a domain name, common, organizations or consumers.", cut(name))
}

// cut keeps what a client sent from making an answer long.
func cut(s string) string {
	const most = 100
	return s[:min(len(s), most)]
}

// faultBody is the fault as it is sent.
type faultBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri"`
}

func writeFault(w http.ResponseWriter, r *http.Request, now time.Time, f *fault) {
	trace, correlation := heliograph.NewGUID().String(), correlationID(r)
	stamp := now.UTC().Format(faultStamp)
	writePrivate(w, correlation, f.status, &faultBody{
		Error:         f.code,
		Description:   f.describe(trace, correlation, stamp),
		Codes:         []int{f.number},
		Timestamp:     stamp,
		TraceID:       trace,
		CorrelationID: correlation,
		URI:           f.uri(),
	})
}

const faultStamp = "2006-01-02 15:04:05Z"

// describe returns the text with what Entra adds to it.
func (f *fault) describe(trace, correlation, stamp string) string {
	return fmt.Sprintf("%s Trace ID: %s Correlation ID: %s Timestamp: %s", f.Error(), trace, correlation, stamp)
}

func (f *fault) uri() string {
	return fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", f.number)
}

// writeInternal answers for an error that is ours, and logs it: the client is not told.
func (i *Issuer) writeInternal(w http.ResponseWriter, r *http.Request, err error) {
	i.logger.LogAttrs(r.Context(), slog.LevelError, "token request not served", slog.Any("error", err))
	writeFault(w, r, i.now(), &fault{http.StatusServiceUnavailable, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again."})
}

// writePrivate writes what is for this client alone: no cache keeps it, no script of another origin reads it.
func writePrivate(w http.ResponseWriter, correlation string, status int, v any) {
	h := w.Header()
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("X-Ms-Request-Id", heliograph.NewGUID().String())
	h.Set("Client-Request-Id", correlation)
	writeJSON(w, status, v)
}

// correlationID returns the client's own name for its request, or makes one up.
func correlationID(r *http.Request) string {
	for _, said := range []string{r.Header.Get("Client-Request-Id"), r.URL.Query().Get("client-request-id")} {
		if g, ok := heliograph.ParseGUID(said); ok {
			return g.String()
		}
	}
	return heliograph.NewGUID().String()
}
