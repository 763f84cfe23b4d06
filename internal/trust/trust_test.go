package trust_test

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev/internal/localca"
	"heliograph.dev/internal/trust"
)

func authority(t *testing.T) *localca.CA {
	t.Helper()
	ca, err := localca.Load(filepath.Join(t.TempDir(), "ca"), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func steps(t *testing.T, p *trust.Plan, err error) (lines []string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		lines = append(lines, s.String())
	}
	return lines
}

func TestPlans(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	for _, c := range []struct {
		os, folder      string
		install, remove []string
	}{
		{
			"linux", "/usr/local/share/ca-certificates",
			[]string{"cp the certificate to /usr/local/share/ca-certificates/heliograph-local-ca.crt", "update-ca-certificates"},
			[]string{"rm /usr/local/share/ca-certificates/heliograph-local-ca.crt", "update-ca-certificates --fresh"},
		},
		{
			"linux", "/etc/pki/ca-trust/source/anchors",
			[]string{"cp the certificate to /etc/pki/ca-trust/source/anchors/heliograph-local-ca.pem", "update-ca-trust extract"},
			[]string{"rm /etc/pki/ca-trust/source/anchors/heliograph-local-ca.pem", "update-ca-trust extract"},
		},
		{
			"darwin", "",
			[]string{"security add-trusted-cert -r trustRoot -p ssl -k /home/ada/Library/Keychains/login.keychain-db " + ca.CertPath()},
			[]string{"security remove-trusted-cert " + ca.CertPath(), "security delete-certificate -Z "},
		},
		{"windows", "", []string{"certutil -user -addstore Root " + ca.CertPath()}, []string{"certutil -user -delstore Root "}},
	} {
		s := trust.System{OS: c.os, Home: "/home/ada", IsFolder: func(path string) bool { return path == c.folder }}
		p, err := trust.Install(s, ca.CertPath(), ca.PEM())
		if got := steps(t, p, err); !slices.Equal(got, c.install) {
			t.Errorf("%s: %q", c.os, got)
		}
		p, err = trust.Uninstall(s, ca.CertPath(), ca.Certificate())
		got := steps(t, p, err)
		for n, want := range c.remove {
			if len(got) != len(c.remove) || !strings.HasPrefix(got[n], want) {
				t.Errorf("%s: %q, want %q", c.os, got, c.remove)
			}
		}
	}
	for name, s := range map[string]trust.System{
		"where nobody": {OS: "linux", IsFolder: func(string) bool { return false }}, "not known": {OS: "plan9"},
	} {
		_, err := trust.Install(s, "x", nil)
		_, other := trust.Uninstall(s, "x", &x509.Certificate{})
		if err == nil || other == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, %v, want %q", err, other, name)
		}
	}
}

// Each step is told before it is done, and the first that fails ends it.
func TestDo(t *testing.T) {
	t.Parallel()
	ca, file := authority(t), filepath.Join(t.TempDir(), "stored.pem")
	p, err := trust.Install(trust.System{OS: "darwin"}, ca.CertPath(), ca.PEM())
	if err != nil {
		t.Fatal(err)
	}
	p.Steps = []trust.Step{{Write: file}, {Command: []string{"no-such-command-anywhere"}}, {Remove: file}}
	var told []string
	err = p.Do(t.Context(), func(s trust.Step) { told = append(told, s.String()) })
	if err == nil || !strings.HasPrefix(err.Error(), "no-such-command-anywhere: ") || len(told) != 2 {
		t.Errorf("%v, told %q", err, told)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != string(ca.PEM()) {
		t.Errorf("%s, %v", text, err)
	}
	p.Steps = []trust.Step{{Remove: file}, {Remove: file}}
	if err := p.Do(t.Context(), func(trust.Step) {}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is still there")
	}
}

func TestHintsNameTheFile(t *testing.T) {
	t.Parallel()
	hints := trust.Hints("/x/ca.pem")
	for _, program := range []string{"curl", "Node.js", "Java", "git", "Python (requests)"} {
		if !slices.ContainsFunc(hints, func(h trust.Hint) bool { return h.Program == program && strings.Contains(h.How, "/x/ca.pem") }) {
			t.Errorf("nothing about %s", program)
		}
	}
}
