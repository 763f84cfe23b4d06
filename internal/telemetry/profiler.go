package telemetry

import (
	"net/http"
	"net/http/pprof"
)

// WithProfiler answers the profiler's paths, /debug/pprof/ and below, and leaves the others to next. It shows memory
// and command lines: it belongs on an address of its own that only operators reach.
func WithProfiler(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/", next)
	return mux
}
