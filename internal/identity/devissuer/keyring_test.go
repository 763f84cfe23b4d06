package devissuer_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"heliograph.dev/internal/identity/devissuer"
)

func TestKeysOutliveTheProcess(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "signing.pem")
	kept := func(o *devissuer.Options) { o.KeyFile = file }
	first := setup(t, kept)
	request := form("grant_type", "password", "client_id", appID, "username", "ada", "password", "x", "scope", "openid offline_access")
	before := first.post(t, "/common/oauth2/v2.0/token", request)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}

	second := setup(t, kept)
	second.claims(t, before.text("access_token"))
	refresh := form("grant_type", "refresh_token", "client_id", appID, "refresh_token", before.text("refresh_token"))
	if a := second.post(t, "/common/oauth2/v2.0/token", refresh); a.status != 200 {
		t.Errorf("%v", a.body)
	}
	const keys = "/common/discovery/keys"
	if a, b := asJSON(t, first.key(t, keys)["x5c"]), asJSON(t, second.key(t, keys)["x5c"]); a != b {
		t.Errorf("certificate %s became %s", a, b)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "signing.pem")
	w := setup(t, func(o *devissuer.Options) { o.KeyFile = file })
	mint := func() string {
		token, _, err := w.Mint(t.Context(), devissuer.MintRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return token.Reveal()
	}
	refresh := w.post(t, "/common/oauth2/v2.0/token", form("grant_type", "password", "client_id", appID, "username", "a", "password", "x", "scope", "offline_access"))
	tokens := []string{mint()}
	for range 3 {
		if err := w.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, mint())
	}
	kids := make(map[string]bool)
	for _, token := range tokens {
		header, _, _ := strings.Cut(token, ".")
		kids[header] = true
	}
	if len(kids) != len(tokens) {
		t.Errorf("%d tokens have %d headers", len(tokens), len(kids))
	}
	restarted := setup(t, func(o *devissuer.Options) { o.KeyFile = file })
	for _, w := range []*world{w, restarted} {
		for _, token := range tokens[1:] { // the last three keys are published
			w.claims(t, token)
		}
		keys, err := w.PublicKeys(t.Context())
		if err != nil || len(keys.Keys) != 3 {
			t.Errorf("%d keys, %v", len(keys.Keys), err)
		}
		again := w.post(t, "/common/oauth2/v2.0/token", form("grant_type", "refresh_token", "client_id", appID, "refresh_token", refresh.text("refresh_token")))
		if again.status != 200 {
			t.Errorf("a refresh token ended with its key: %v", again.body)
		}
	}
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "signing.pem")
	w := setup(t, func(o *devissuer.Options) { o.KeyFile = file })
	if _, err := w.PublicKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.pem")
	o := setup(t, func(o *devissuer.Options) { o.KeyFile = other })
	if _, err := o.PublicKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.SplitAfter(string(text), "-----\n")
	part := func(from, to int) string { return strings.Join(blocks[from:to], "") }
	for name, content := range map[string]string{
		"empty":                "",
		"noise":                "noise",
		"no key":               part(2, len(blocks)),
		"no certificate":       part(0, 2) + part(4, len(blocks)),
		"no sealing key":       part(0, 4),
		"foreign certificate":  part(0, 2) + strings.Join(strings.SplitAfter(string(foreign), "-----\n")[2:], ""),
		"a broken key":         "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"a broken certificate": part(0, 2) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + part(4, len(blocks)),
	} {
		damaged := filepath.Join(t.TempDir(), "damaged.pem")
		if err := os.WriteFile(damaged, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := devissuer.New(devissuer.Options{Now: w.clock.Now, KeyFile: damaged}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeyThatCannotBeKept(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *devissuer.Options) { o.KeyFile = filepath.Join(t.TempDir(), "missing", "signing.pem") })
	if _, _, err := w.Mint(t.Context(), devissuer.MintRequest{}); err == nil {
		t.Error("minted with a key that the next start does not have")
	}
	a := w.post(t, "/common/oauth2/v2.0/token", form("grant_type", "client_credentials", "client_id", appID, "client_secret", "x", "scope", graph+"/.default"))
	wantFault(t, a, 503, "temporarily_unavailable", 90033)
	if strings.Contains(asJSON(t, a.body), "signing.pem") {
		t.Errorf("the client is told too much: %v", a.body)
	}
}
