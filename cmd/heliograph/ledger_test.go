package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledger holds what was acknowledged to publishers against what came to receivers.
type ledger struct {
	mu        sync.Mutex
	changed   chan struct{}
	mailboxes map[string]*mailbox
	missing   int // acknowledged and not come
	came      int // the first time
	twice     int
	wrong     []string
	latest    []time.Time   // when each came since the last call of since
	healed    chan struct{} // closed when every receiver is to be well
}

// mailbox is what one subscription watches. Its messages are numbered.
type mailbox struct {
	acked, came []bool
	ids         []string
	last        int // that came for the first time
}

func newLedger() *ledger {
	return &ledger{changed: make(chan struct{}), healed: make(chan struct{}), mailboxes: map[string]*mailbox{}}
}

func (l *ledger) mailbox(user string, n int) *mailbox {
	m := l.mailboxes[user]
	if m == nil {
		m = &mailbox{last: -1}
		l.mailboxes[user] = m
	}
	for len(m.acked) <= n {
		m.acked, m.came, m.ids = append(m.acked, false), append(m.came, false), append(m.ids, "")
	}
	return m
}

// acknowledged notes that the server took a message.
func (l *ledger) acknowledged(user string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.mailbox(user, n)
	m.acked[n] = true
	if !m.came[n] {
		l.missing++
	}
}

// arrived notes a notification. What comes for the first time comes in order.
func (l *ledger) arrived(id, resource string) {
	var user, message string
	if parts := strings.Split(strings.ToLower(resource), "/"); len(parts) == 4 {
		user, message = parts[1], strings.TrimPrefix(parts[3], "m")
	}
	n, err := strconv.Atoi(message)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.wrong = append(l.wrong, "a notification of "+resource)
		return
	}
	m := l.mailbox(user, n)
	l.latest = append(l.latest, time.Now())
	if m.came[n] {
		l.twice++
		if m.ids[n] != id {
			l.wrong = append(l.wrong, fmt.Sprintf("%s came as %s and as %s", resource, m.ids[n], id))
		}
		return
	}
	if n < m.last {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: message %d came for the first time after %d", user, n, m.last))
	}
	m.came[n], m.ids[n], m.last = true, id, n
	l.came++
	if m.acked[n] {
		l.missing--
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// since returns how many notifications came after a moment, and forgets when the others did.
func (l *ledger) since(moment time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, at := range l.latest {
		if at.After(moment) {
			n++
		}
	}
	l.latest = nil
	return n
}

// heal makes every receiver answer at once and well.
func (l *ledger) heal() { close(l.healed) }

// settle waits until everything that was acknowledged has come.
func (l *ledger) settle(t *testing.T, patience time.Duration) {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		missing, changed := l.missing, l.changed
		l.mu.Unlock()
		if missing == 0 {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Errorf("%d acknowledged changes never came%s", missing, l.missed())
			return
		}
	}
}

// missed names some of what has not come.
func (l *ledger) missed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	for _, user := range slices.Sorted(maps.Keys(l.mailboxes)) {
		m := l.mailboxes[user]
		first, count := -1, 0
		for n := range m.acked {
			if m.acked[n] && !m.came[n] {
				if count++; first < 0 {
					first = n
				}
			}
		}
		if count > 0 {
			fmt.Fprintf(&text, "; %d of %s from message %d on", count, user, first)
		}
	}
	return text.String()
}

func (l *ledger) isHealed() bool {
	select {
	case <-l.healed:
		return true
	default:
		return false
	}
}

// temper is how a receiver answers: it may take its time, and returns the status, or 0 when it never answers.
type temper func(r *http.Request) int

func healthy(*http.Request) int { return http.StatusAccepted }

// slow answers in its own time.
func slow(r *http.Request) int {
	select {
	case <-time.After(50*time.Millisecond + rand.N(100*time.Millisecond)):
	case <-r.Context().Done():
	}
	return http.StatusAccepted
}

// ill refuses one in three, and now and then says nothing at all.
func ill(*http.Request) int {
	switch rand.IntN(12) {
	case 0, 1, 2:
		return http.StatusServiceUnavailable
	case 3:
		return 0
	}
	return http.StatusAccepted
}

// receiver starts a receiver at an address of its own.
func (l *ledger) receiver(t *testing.T, mood temper) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // killed while it was sending
		}
		status := http.StatusAccepted
		if !l.isHealed() {
			status = mood(r)
		}
		switch {
		case status == 0:
			select {
			case <-r.Context().Done():
				return
			case <-l.healed:
			}
			status = http.StatusServiceUnavailable
		case status < 300:
			l.take(body)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (l *ledger) take(body []byte) {
	var c struct {
		Value []struct{ ID, Resource string }
	}
	if err := json.Unmarshal(body, &c); err != nil {
		l.mu.Lock()
		l.wrong = append(l.wrong, fmt.Sprintf("a body that is no collection: %v", err))
		l.mu.Unlock()
		return
	}
	for _, n := range c.Value {
		l.arrived(n.ID, n.Resource)
	}
}
