// Package trust makes a machine trust a certificate of authority, or no longer: by what its system has for that. A plan
// says in words what will be done before anything is; [Plan.Do] does it step by step.
//
// It is for the local authority, which can speak for localhost only. How single programs are told to trust a certificate
// is in [Hints].
package trust

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Windows names certificates by it
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// storedName is the name of the certificate's file in a Linux system's store.
const storedName = "heliograph-local-ca"

// commandTimeout bounds each command. On macOS one asks for a password.
const commandTimeout = 2 * time.Minute

// Step is one thing to do: a file written or removed, or a command.
type Step struct {
	Write   string   // the file that the certificate is copied to
	Remove  string   // a file
	Command []string // a command with its arguments
}

// String says the step as one would type it.
func (s Step) String() string {
	switch {
	case s.Write != "":
		return "cp the certificate to " + s.Write
	case s.Remove != "":
		return "rm " + s.Remove
	}
	return strings.Join(s.Command, " ")
}

// Plan is what to do, in order.
type Plan struct {
	Store string // what it changes, in words
	Steps []Step
	pem   []byte
}

// System is what a plan depends on.
type System struct {
	OS   string // as runtime.GOOS
	Home string
	// IsFolder reports whether there is a folder.
	IsFolder func(path string) bool
}

// ThisSystem returns the machine's.
func ThisSystem(goos string) System {
	home, _ := os.UserHomeDir()
	return System{OS: goos, Home: home, IsFolder: func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	}}
}

// linuxStore is where a family of distributions keeps what an administrator adds.
type linuxStore struct {
	dir, ext    string
	add, remove []string
}

func linuxStores() []linuxStore {
	return []linuxStore{
		{"/usr/local/share/ca-certificates", ".crt", []string{"update-ca-certificates"}, []string{"update-ca-certificates", "--fresh"}}, // Debian, Ubuntu, Alpine
		{"/etc/pki/ca-trust/source/anchors", ".pem", []string{"update-ca-trust", "extract"}, []string{"update-ca-trust", "extract"}},    // Fedora, RHEL
		{"/etc/ca-certificates/trust-source/anchors", ".crt", []string{"trust", "extract-compat"}, []string{"trust", "extract-compat"}}, // Arch
		{"/usr/share/pki/trust/anchors", ".pem", []string{"update-ca-certificates"}, []string{"update-ca-certificates"}},                // SUSE
	}
}

// Install returns how a system comes to trust a certificate, which stands in PEM at path.
func Install(s System, path string, pem []byte) (*Plan, error) {
	switch s.OS {
	case "linux":
		store, err := s.linux()
		if err != nil {
			return nil, err
		}
		return &Plan{"the certificates that all of this machine trusts", []Step{{Write: store.file()}, {Command: store.add}}, pem}, nil
	case "darwin":
		return &Plan{"your login keychain", []Step{{Command: []string{
			"security", "add-trusted-cert", "-r", "trustRoot", "-p", "ssl", "-k", s.keychain(), path,
		}}}, pem}, nil
	case "windows":
		return &Plan{"your own trusted root certificates", []Step{{Command: []string{"certutil", "-user", "-addstore", "Root", path}}}, pem}, nil
	}
	return nil, unknown(s.OS)
}

// Uninstall returns how a system no longer trusts it.
func Uninstall(s System, path string, cert *x509.Certificate) (*Plan, error) {
	thumbprint := fmt.Sprintf("%x", sha1.Sum(cert.Raw)) //nolint:gosec // see the import
	switch s.OS {
	case "linux":
		store, err := s.linux()
		if err != nil {
			return nil, err
		}
		return &Plan{"the certificates that all of this machine trusts", []Step{{Remove: store.file()}, {Command: store.remove}}, nil}, nil
	case "darwin":
		return &Plan{"your login keychain", []Step{
			{Command: []string{"security", "remove-trusted-cert", path}},
			{Command: []string{"security", "delete-certificate", "-Z", strings.ToUpper(thumbprint), s.keychain()}},
		}, nil}, nil
	case "windows":
		return &Plan{"your own trusted root certificates", []Step{{Command: []string{"certutil", "-user", "-delstore", "Root", thumbprint}}}, nil}, nil
	}
	return nil, unknown(s.OS)
}

func unknown(goos string) error {
	return fmt.Errorf("how certificates are trusted on %s is not known here: do it by hand, with the file", goos)
}

func (s System) keychain() string {
	return filepath.Join(s.Home, "Library/Keychains/login.keychain-db")
}

func (s System) linux() (linuxStore, error) {
	for _, store := range linuxStores() {
		if s.IsFolder(store.dir) {
			return store, nil
		}
	}
	return linuxStore{}, errors.New("this system keeps its certificates where nobody has thought of: none of the known folders is there (is ca-certificates installed?)")
}

func (l linuxStore) file() string { return l.dir + "/" + storedName + l.ext }

// Do does what the plan says, and tells each step before it is done.
func (p *Plan) Do(ctx context.Context, tell func(Step)) error {
	for _, step := range p.Steps {
		tell(step)
		if err := p.step(ctx, step); err != nil {
			if errors.Is(err, fs.ErrPermission) {
				err = fmt.Errorf("%w: run it as root, with the same --local-ca", err)
			}
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return nil
}

func (p *Plan) step(ctx context.Context, step Step) error {
	switch {
	case step.Write != "":
		return os.WriteFile(step.Write, p.pem, 0o644) //nolint:gosec // a public certificate, which all programs are to read
	case step.Remove != "":
		if err := os.Remove(step.Remove); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil // done already
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, step.Command[0], step.Command[1:]...) //nolint:gosec // one of those above
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

// Hint is how one kind of program is told to trust a certificate.
type Hint struct {
	Program string `json:"program"`
	How     string `json:"how"`
}

// Hints returns how single programs are told to trust the certificate in PEM at path, without the machine.
func Hints(path string) []Hint {
	return []Hint{
		{"curl", "curl --cacert " + path + " https://localhost:8443/"},
		{"Node.js", "export NODE_EXTRA_CA_CERTS=" + path},
		{"Go, OpenSSL, .NET, Ruby (Linux)", "export SSL_CERT_FILE=" + path + "   # and nothing else: heliograph takeover keeps the system's"},
		{"Python (requests)", "export REQUESTS_CA_BUNDLE=" + path},
		{"git", "git -c http.sslCAInfo=" + path + " ..."},
		{"Java", "keytool -importcert -noprompt -alias heliograph -file " + path + " -keystore heliograph.p12 -storetype PKCS12 -storepass changeit\n" +
			"java -Djavax.net.ssl.trustStore=heliograph.p12 -Djavax.net.ssl.trustStorePassword=changeit ..."},
		{"Firefox", "Settings, Privacy & Security, View Certificates, Authorities, Import"},
		{"Chrome, Edge, Safari", "they ask the system: heliograph trust --install (Chrome on Linux has a store of its own: Settings, Privacy and security, Security, Manage certificates)"},
	}
}
