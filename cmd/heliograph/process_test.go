package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/identity/devissuer"
)

const testTenant = "11111111-2222-3333-4444-555555555555"

// process is a production server in a process of its own, which can be killed.
type process struct {
	cmd *exec.Cmd
	out io.ReadCloser
	url string
}

var readyLine = regexp.MustCompile(`ready on (http://\S+)`)

// launch starts a server and does not wait for it.
func launch(tb testing.TB, args ...string) *process {
	tb.Helper()
	return launchTelling(tb, tb.Output(), args...)
}

// launchTelling does, and has the server's log written to w.
func launchTelling(tb testing.TB, w io.Writer, args ...string) *process {
	tb.Helper()
	if runtime.GOOS == "windows" {
		tb.Skip("needs signals")
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	// testscript gives the test binary the part of the command whose name it is called by.
	name := filepath.Join(tb.TempDir(), "heliograph")
	if err := os.Symlink(self, name); err != nil {
		tb.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(context.Background(), name, append([]string{
		"serve", "--http", "127.0.0.1:0", "--outbound-allow-loopback", "--api-limits=false", "--log-level", "error",
	}, args...)...)}
	p.cmd.Stderr = w
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if p.cmd != nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

// ready waits until the server answers.
func (p *process) ready(tb testing.TB) {
	tb.Helper()
	lines := bufio.NewScanner(p.out)
	for lines.Scan() {
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			p.url = m[1]
			go func() { _, _ = io.Copy(io.Discard, p.out) }()
			return
		}
	}
	tb.Fatal("the server ended before it was ready")
}

func (p *process) kill(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		tb.Fatal(err)
	}
	_ = p.cmd.Wait()
	p.cmd = nil
}

// interrupt stops the server in order.
func (p *process) interrupt(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		tb.Errorf("stopped with %v", err)
	}
	p.cmd = nil
}

// idp is an identity provider in this process, spoken to over HTTP as any other.
type idp struct {
	*httptest.Server
	issuer *devissuer.Issuer
}

func startIssuer(tb testing.TB) *idp {
	tb.Helper()
	issuer, err := devissuer.New(devissuer.Options{Now: time.Now, ApplicationPermissions: []string{"Mail.Read"}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(issuer.Close)
	server := httptest.NewServer(issuer)
	tb.Cleanup(server.Close)
	return &idp{server, issuer}
}

// client speaks to a server, with a token that holds for the whole test.
func (i *idp) client(tb testing.TB, url string) *client.Client {
	tb.Helper()
	text, _, err := i.issuer.Mint(tb.Context(), devissuer.MintRequest{Base: i.URL, Tenant: testTenant, Lifetime: 12 * time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	api, err := client.New(url, client.StaticToken(text.Reveal()))
	if err != nil {
		tb.Fatal(err)
	}
	return api
}

// trusts is the flag of a server that believes the issuer.
func (i *idp) trusts() string { return fmt.Sprintf("--issuer=%s/{tenantid}/v2.0", i.URL) }
