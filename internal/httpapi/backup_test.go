package httpapi_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
)

// ark is a store whose backup is a text.
type ark struct {
	text string
	fail error
	hold chan struct{} // closed when it may go on; nil: at once
	held chan struct{} // closed when it waits
}

// Backup writes the text, then fails.
func (a *ark) Backup(_ context.Context, w io.Writer) error {
	if a.hold != nil {
		close(a.held)
		<-a.hold
	}
	if _, err := io.WriteString(w, a.text); err != nil {
		return err
	}
	return a.fail
}

func withArk(a *ark) func(*httpapi.Options) { return func(o *httpapi.Options) { o.Backups = a } }

func TestBackup(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("backup", 1<<17)
	for name, c := range map[string]struct {
		ark    *ark
		bearer string
		status int
		body   string
	}{
		"an operator":                    {&ark{text: large}, "operator", 200, large},
		"somebody else":                  {&ark{text: "b"}, "reader", 403, ""},
		"a store that does not answer":   {&ark{fail: &heliograph.Error{Kind: heliograph.Unavailable, Rule: "engine.unavailable"}}, "operator", 503, ""},
		"one that breaks off on the way": {&ark{text: large, fail: errors.New("gone")}, "operator", 200, large[:500_000]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := all(t, withArk(c.ark))
			r := b.send("GET", "/control/v1/backup", "", "Authorization", "Bearer "+c.bearer)
			if r.StatusCode != c.status || c.body != "" && !strings.HasPrefix(r.body, c.body) {
				t.Errorf("status %d, %d bytes", r.StatusCode, len(r.body))
			}
		})
	}
}

func TestOneBackupAtATime(t *testing.T) {
	t.Parallel()
	a := &ark{text: "b", hold: make(chan struct{}), held: make(chan struct{})}
	b := all(t, withArk(a))
	first := make(chan int, 1)
	go func() {
		first <- b.send("GET", "/control/v1/backup", "", "Authorization", "Bearer operator").StatusCode
	}()
	<-a.held
	if r := b.send("GET", "/control/v1/backup", "", "Authorization", "Bearer operator"); r.StatusCode != 429 {
		t.Errorf("a second one: %d", r.StatusCode)
	}
	close(a.hold)
	if status := <-first; status != 200 {
		t.Errorf("the first one: %d", status)
	}
}
