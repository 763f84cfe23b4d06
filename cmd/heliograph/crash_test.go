package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/identity/devissuer"
)

const crashTenant = "11111111-2222-3333-4444-555555555555"

// TestKilledServerDeliversWhatItAcknowledged is the promise behind 202: a production server is killed with
// SIGKILL while 5,000 acknowledged changes are on their way, and started again on the same folder. Each of them
// arrives, in the order of its subscription, and what arrives twice carries the same notification id.
func TestKilledServerDeliversWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	const (
		mailboxes = 20
		changes   = 5000
	)
	issuer := startIssuer(t)
	hook := newHook(t)
	data := t.TempDir()
	server := startServe(t, data, issuer.URL)
	api, err := client.New(server.url, client.StaticToken(issuer.token(t)))
	if err != nil {
		t.Fatal(err)
	}
	for m := range mailboxes {
		if _, err := api.CreateSubscription(t.Context(), client.Subscription{
			Resource: fmt.Sprintf("users/u%d/messages", m), ChangeType: "created", NotificationURL: hook.URL + "/hook",
			ExpirationDateTime: time.Now().Add(time.Hour),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for sent := 0; sent < changes; {
		var events []client.Event
		for range 100 {
			events = append(events, client.Event{
				ID: fmt.Sprint(sent), Source: "crash-test", Type: client.Created,
				Resource: fmt.Sprintf("users/u%d/messages/m%05d", sent%mailboxes, sent),
			})
			sent++
		}
		if _, err := api.Publish(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
	}
	hook.open() // until now it answered 503, so that everything is still under way
	hook.await(t, changes/5)
	server.kill(t)
	killedAt := hook.count()
	if killedAt >= changes {
		t.Fatalf("all %d arrived before the kill: nothing was under way", killedAt)
	}
	again := startServe(t, data, issuer.URL)
	hook.await(t, changes)
	again.interrupt(t)
	hook.check(t, mailboxes)
	t.Logf("killed after %d of %d; %d arrived twice", killedAt, changes, hook.duplicates)
}

// process is a server that can be killed.
type process struct {
	cmd *exec.Cmd
	url string
}

var readyLine = regexp.MustCompile(`ready on (http://\S+)`)

func startServe(t *testing.T, data, issuer string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript gives the test binary the part of the command whose name it is called by.
	name := filepath.Join(t.TempDir(), "heliograph")
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), name, "serve", "--data", data, "--http", "127.0.0.1:0",
		"--issuer", issuer+"/{tenantid}/v2.0", "--outbound-allow-loopback", "--log-level", "error")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(func() {
		if p.cmd != nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			p.url = m[1]
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p
		}
	}
	t.Fatal("the server ended before it was ready")
	return nil
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	p.cmd = nil
}

// interrupt stops the server in order.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	p.cmd = nil
}

// idp is an identity provider in this process, spoken to over HTTP as any other.
type idp struct {
	*httptest.Server
	issuer *devissuer.Issuer
}

func startIssuer(t *testing.T) *idp {
	t.Helper()
	issuer, err := devissuer.New(devissuer.Options{Now: time.Now, ApplicationPermissions: []string{"Mail.Read"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(issuer.Close)
	server := httptest.NewServer(issuer)
	t.Cleanup(server.Close)
	return &idp{server, issuer}
}

func (i *idp) token(t *testing.T) string {
	t.Helper()
	text, _, err := i.issuer.Mint(t.Context(), devissuer.MintRequest{Base: i.URL, Tenant: crashTenant})
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

// hook is a receiver that checks what it gets.
type hook struct {
	*httptest.Server

	mu         sync.Mutex
	isOpen     bool
	changed    chan struct{}
	ids        map[string]string   // notification id by resource
	order      map[string][]string // resources by subscription, as they first came
	duplicates int
	wrong      []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{changed: make(chan struct{}), ids: map[string]string{}, order: map[string][]string{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.isOpen = true
}

func (h *hook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ids)
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if token := r.URL.Query().Get("validationToken"); token != "" {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, token)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // killed while it was sending
	}
	var c struct {
		Value []struct{ ID, SubscriptionID, Resource string }
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isOpen {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	for _, n := range c.Value {
		before, seen := h.ids[n.Resource]
		switch {
		case !seen:
			h.ids[n.Resource] = n.ID
			h.order[n.SubscriptionID] = append(h.order[n.SubscriptionID], n.Resource)
		case before != n.ID:
			h.wrong = append(h.wrong, fmt.Sprintf("%s came as %s and as %s", n.Resource, before, n.ID))
		default:
			h.duplicates++
		}
	}
	close(h.changed)
	h.changed = make(chan struct{})
	w.WriteHeader(http.StatusAccepted)
}

// await waits until n different notifications have come.
func (h *hook) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		h.mu.Lock()
		have, changed := len(h.ids), h.changed
		h.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d of %d notifications arrived", have, n)
		}
	}
}

func (h *hook) check(t *testing.T, subscriptions int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wrong {
		t.Error(w)
	}
	if len(h.order) != subscriptions {
		t.Errorf("%d subscriptions were notified, want %d", len(h.order), subscriptions)
	}
	for sub, resources := range h.order {
		for i := 1; i < len(resources); i++ {
			if strings.Compare(resources[i-1], resources[i]) >= 0 {
				t.Errorf("subscription %s: %s came before %s", sub, resources[i-1], resources[i])
			}
		}
	}
}
