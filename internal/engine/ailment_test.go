package engine_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"heliograph.dev/internal/engine"
)

// TestBusyIsNotBroken: on a busy machine the server says for lack of a millisecond that it is not ready. A start was
// refused for it, with the word that the data folder is damaged.
func TestBusyIsNotBroken(t *testing.T) {
	t.Parallel()
	busy := server.HealthzError{Type: server.HealthzErrorConn, Error: "failed to be ready for connections after 1ms: "}
	damaged := server.HealthzError{Type: server.HealthzErrorStream, Error: "stream is gone"}
	for name, c := range map[string]struct {
		says [][]server.HealthzError // one after the other, the last again and again
		want string
	}{
		"well":              {[][]server.HealthzError{nil}, ""},
		"busy, then well":   {[][]server.HealthzError{{busy}, {busy}, nil}, ""},
		"broken":            {[][]server.HealthzError{{damaged}}, "stream is gone"},
		"busy, then broken": {[][]server.HealthzError{{busy}, {damaged, damaged}}, "stream is gone; stream is gone"},
		"busy for ever":     {[][]server.HealthzError{{busy}}, busy.Error},
	} {
		asked := 0
		err := engine.Ailment(func(o *server.HealthzOptions) *server.HealthStatus {
			if !o.Details {
				t.Errorf("%s: asked for no details", name)
			}
			says := c.says[min(asked, len(c.says)-1)]
			asked++
			return &server.HealthStatus{Errors: says}
		})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
