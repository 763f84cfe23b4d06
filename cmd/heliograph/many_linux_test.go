package main

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/seal/vault"
	"heliograph.dev/internal/subscribe/record"
)

var (
	manySubscriptions = flag.Int("many", 20_000, "how many subscriptions BenchmarkManySubscriptions has")
	manyIdle          = flag.Duration("many.idle", 30*time.Second, "how long the server is idle before its memory is measured")
)

// BenchmarkManySubscriptions is a production server with many subscriptions that nothing happens to: how long its
// process takes from its start to its first answer, and what each of them takes of its resident memory, everything
// included: the process itself, the engine, the registry, the index, the timers.
func BenchmarkManySubscriptions(b *testing.B) {
	n := *manySubscriptions
	dir := filepath.Join(b.TempDir(), "data")
	fill(b, dir, n)
	issuer := startIssuer(b)
	first := launch(b, "--data", dir, issuer.trusts()) // counts what it finds for the quotas, once
	first.ready(b)
	first.interrupt(b)
	for b.Loop() {
		began := time.Now()
		p := launch(b, "--data", dir, issuer.trusts())
		p.ready(b)
		b.ReportMetric(time.Since(began).Seconds(), "s/start")
		b.ReportMetric(p.processor(b).Seconds(), "cpu-s/start") // which other programs do not make longer
		b.ReportMetric(float64(p.resident(b))/float64(n), "resident-B/subscription-at-start")
		<-time.After(*manyIdle)
		b.ReportMetric(float64(p.resident(b))/float64(n), "resident-B/subscription")
		p.interrupt(b)
	}
	b.ReportMetric(0, "ns/op")
}

// fill makes a data folder with subscriptions of 100 tenants with 10 applications each, as creates would have.
func fill(tb testing.TB, dir string, n int) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	cfg := config.Default(config.Serve)
	cfg.Data = dir
	e, err := engine.Open(tb.Context(), engine.Options{
		Dir: dir, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Vault: func(bool) (engine.Vault, error) {
			return vault.Open(vault.Options{File: cfg.StoreKeys(), MayCreate: true, Now: time.Now})
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	const together = engine.MaxWrites / 2
	for from := 0; from < n; from += together {
		tenant := heliograph.TenantID(heliograph.DeriveGUID("tenant", strconv.Itoa(from/together%100)).String())
		writes := make([]heliograph.Write, 0, engine.MaxWrites)
		for i := from; i < min(n, from+together); i++ {
			s := someSubscription(i)
			writes = append(writes, heliograph.Write{Name: record.Name(s.ID), Value: record.Encode(s)},
				heliograph.Write{Name: "uniq." + heliograph.DeriveGUID(s.Resource).String(), Value: []byte(s.ID.String())})
		}
		if _, err := e.Commit(tb.Context(), tenant, writes); err != nil {
			tb.Fatal(err)
		}
	}
	if err := e.Close(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// someSubscription is one of a mailbox's messages, with texts of usual length.
func someSubscription(i int) *heliograph.Subscription {
	mailbox := heliograph.DeriveGUID("mailbox", strconv.Itoa(i)).String()
	return &heliograph.Subscription{
		ID: heliograph.DeriveGUID("subscription", strconv.Itoa(i)), App: heliograph.AppID(heliograph.DeriveGUID("app", strconv.Itoa(i%10)).String()),
		Creator:  heliograph.ObjectID(heliograph.DeriveGUID("creator", strconv.Itoa(i%10)).String()),
		Resource: "/users/" + mailbox + "/messages", Path: "users/" + mailbox + "/messages", Row: "message",
		ChangeType: heliograph.Created | heliograph.Updated, ChangeTypeText: "created,updated",
		NotificationURL:          fmt.Sprintf("https://app%d.example.com/api/notifications", i%10),
		LifecycleNotificationURL: fmt.Sprintf("https://app%d.example.com/api/lifecycle", i%10),
		ClientState:              heliograph.NewSecret(heliograph.DeriveGUID("state", strconv.Itoa(i)).String()),
		Created:                  time.Now(), Expires: time.Now().Add(48 * time.Hour), AuthorizedUntil: time.Now().Add(48 * time.Hour),
	}
}

// resident returns how many bytes of memory the process has.
func (p *process) resident(tb testing.TB) int {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kb, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
			if err != nil {
				tb.Fatal(err)
			}
			return kb << 10
		}
	}
	tb.Fatal("no VmRSS")
	return 0
}

// processor returns how much processor time the process has used.
func (p *process) processor(tb testing.TB) time.Duration {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const user, system, hundredths = 11, 12, 10 * time.Millisecond
	used := time.Duration(0)
	for _, field := range [][]byte{fields[user], fields[system]} {
		n, err := strconv.Atoi(string(field))
		if err != nil {
			tb.Fatal(err)
		}
		used += time.Duration(n) * hundredths
	}
	return used
}
