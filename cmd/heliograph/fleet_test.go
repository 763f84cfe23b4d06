package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/identity/devissuer"
)

// fleet is a cluster of three production servers, each a process of its own.
type fleet struct {
	t      *testing.T
	issuer *idp
	nodes  []*member
}

// member is one node of a fleet, over all of its lives.
type member struct {
	name  string
	args  []string
	log   *journal
	links []*link // from this node to the others

	mu sync.Mutex
	p  *process
}

// newFleet makes what three nodes need, and starts none. With links, nodes speak to each other through proxies that can
// be cut.
func newFleet(t *testing.T, linked bool) *fleet {
	t.Helper()
	dir := t.TempDir()
	keys, secret := filepath.Join(dir, "vault.keys"), filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("between the nodes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	makeKeys(t, keys)
	f := &fleet{t: t, issuer: startIssuer(t)}
	addresses := unusedPorts(t, 3)
	for i := range addresses {
		m := &member{name: fmt.Sprintf("n%d", i+1), log: &journal{}}
		if *clusterLogs != "" {
			file, err := os.Create(filepath.Join(*clusterLogs, m.name+".log"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = file.Close() })
			m.log.file = file
		}
		m.args = []string{
			"--data", filepath.Join(dir, m.name), "--cluster", "test", "--node", m.name, "--cluster-listen", addresses[i],
			"--cluster-secret-file", secret, "--key-file", keys, f.issuer.trusts(), "--log-level", "info", "--log-format", "json",
			"--shutdown-grace", "10s", "--store-min-free-bytes", "64MiB",
		}
		for j, to := range addresses {
			if i == j {
				continue
			}
			if linked {
				l := newLink(t, to)
				m.links = append(m.links, l)
				to = l.address
			}
			m.args = append(m.args, "--peers", to)
		}
		if linked { // what a node would tell others leads nowhere: they have the proxies
			m.args = append(m.args, "--cluster-advertise", "127.0.0.1:1")
		}
		f.nodes = append(f.nodes, m)
	}
	return f
}

func makeKeys(t *testing.T, file string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "heliograph")
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), name, "keys", "make", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// unusedPorts returns addresses on which nobody listens, for servers that have to know each other's before they start.
func unusedPorts(t *testing.T, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses[i] = l.Addr().String()
		defer func() { _ = l.Close() }()
	}
	return addresses
}

// startAll starts every node and waits until each answers.
func (f *fleet) startAll() {
	f.t.Helper()
	for _, m := range f.nodes {
		m.launch(f.t)
	}
	for _, m := range f.nodes {
		m.ready(f.t)
	}
}

func (m *member) launch(t *testing.T) {
	t.Helper()
	p := launchTelling(t, m.log, m.args...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p = p
}

func (m *member) ready(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	p := m.p
	m.mu.Unlock()
	p.ready(t)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.url(p.url)
}

// url notes where the node answers; "" nowhere.
func (m *member) url(is string) { m.log.url.Store(&is) }

func (m *member) kill(t *testing.T) {
	t.Helper()
	m.url("")
	m.mu.Lock()
	p := m.p
	m.p = nil
	m.mu.Unlock()
	p.kill(t)
	m.log.ended()
}

func (m *member) interrupt(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	p := m.p
	m.p = nil
	m.mu.Unlock()
	if p == nil {
		return
	}
	m.url("")
	p.interrupt(t)
	m.log.ended()
}

func (f *fleet) stop() {
	for _, m := range f.nodes {
		m.interrupt(f.t)
	}
}

// speaker speaks to the nodes as an application of a tenant.
type speaker struct {
	f     *fleet
	token client.TokenSource
}

func (f *fleet) speaker(tenant string) *speaker {
	f.t.Helper()
	text, _, err := f.issuer.issuer.Mint(f.t.Context(), devissuer.MintRequest{Base: f.issuer.URL, Tenant: tenant, Lifetime: 12 * time.Hour})
	if err != nil {
		f.t.Fatal(err)
	}
	return &speaker{f, client.StaticToken(text.Reveal())}
}

// at returns a client of a node, or nil while it does not answer.
func (s *speaker) at(node int) *client.Client {
	url := s.f.nodes[node].log.url.Load()
	if url == nil || *url == "" {
		return nil
	}
	api, err := client.New(*url, s.token)
	if err != nil {
		s.f.t.Error(err)
		return nil
	}
	return api
}

// tenantOf is the tenant of a publisher: each has its own, so that they are spread over the partitions.
func tenantOf(publisher int) string {
	return fmt.Sprintf("%08d-2222-4333-8444-555555555555", 11111111*(publisher+1))
}

// stay is a time in which a node had a partition.
type stay struct {
	node     string
	from, to time.Time
}

// stays reads from all logs who had which partition when.
func (f *fleet) stays() map[int][]stay {
	all := map[int][]stay{}
	for _, m := range f.nodes {
		for p, list := range m.log.stays(m.name) {
			all[p] = append(all[p], list...)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b stay) int { return a.from.Compare(b.from) })
	}
	return all
}

// checkOwners fails when two nodes had a partition at the same time.
func (f *fleet) checkOwners() {
	f.t.Helper()
	moves := 0
	for p, list := range f.stays() {
		moves += len(list)
		for i := 1; i < len(list); i++ {
			if list[i].from.Before(list[i-1].to) {
				f.t.Errorf("partition %d was worked by %s until %v and by %s from %v", p, list[i-1].node, list[i-1].to, list[i].node, list[i].from)
			}
		}
	}
	f.t.Logf("%d times a partition was taken, never by two at once", moves)
}

// line is what a log line tells.
type line struct {
	Time      time.Time `json:"time"`
	Level     string    `json:"level"`
	Text      string    `json:"msg"`
	Partition *int      `json:"partition"`
}

// stays reads when the node worked which partition: between taking it and letting it go, and not while its lease was
// over.
func (j *journal) stays(node string) map[int][]stay {
	has, all := map[int]time.Time{}, map[int][]stay{}
	end := func(p int, at time.Time) {
		if from, ok := has[p]; ok {
			all[p] = append(all[p], stay{node, from, at})
			delete(has, p)
		}
	}
	paused := map[int]bool{}
	for _, l := range j.lines() {
		switch l.Text {
		case "partition taken":
			has[*l.Partition] = l.Time
		case "partition let go", "partition lost":
			end(*l.Partition, l.Time)
			delete(paused, *l.Partition)
		case "lease again":
			for p := range paused {
				has[p] = l.Time
			}
			clear(paused)
		case endOfLife:
			for p := range maps.Clone(has) {
				end(p, l.Time)
			}
			clear(paused)
		default:
			if len(l.Text) > 13 && l.Text[:13] == "lease is over" {
				for p := range maps.Clone(has) {
					end(p, l.Time)
					paused[p] = true
				}
			}
		}
	}
	return all
}

const endOfLife = "the process has ended"

func (j *journal) ended() {
	text, _ := json.Marshal(line{Time: time.Now(), Text: endOfLife}) //nolint:errchkjson // nothing can fail
	_, _ = j.Write(append(text, '\n'))
}

func (j *journal) lines() []line {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []line
	for s := bufio.NewScanner(bytes.NewReader(j.text.Bytes())); s.Scan(); {
		var l line
		if json.Unmarshal(s.Bytes(), &l) == nil {
			list = append(list, l)
		}
	}
	return list
}

// tell writes the end of a node's log to the test's, when that failed.
func (f *fleet) tell() {
	if !f.t.Failed() {
		return
	}
	for _, m := range f.nodes {
		m.log.mu.Lock()
		text := m.log.text.Bytes()
		_, _ = io.WriteString(f.t.Output(), m.name+":\n")
		_, _ = f.t.Output().Write(text[max(0, len(text)-6000):])
		m.log.mu.Unlock()
	}
}
