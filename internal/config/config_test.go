package config_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"heliograph.dev"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/deliver"
)

// from loads a configuration out of a file's text, flags and variables.
func from(t *testing.T, mode config.Mode, file string, args []string, environ ...string) (*config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	if file != "" {
		if err := os.WriteFile(filepath.Join(dir, "heliograph.yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(flags, mode)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return config.Load(config.Sources{Mode: mode, Flags: flags, Environ: environ, Dir: dir})
}

func TestFlagsOverEnvironmentOverFileOverDefaults(t *testing.T) {
	t.Parallel()
	file := "listen:\n  http: file:1\n  https: file:2\n  operations: file:3\n"
	c, err := from(t, config.Dev, file, []string{"--http", "flag:1"},
		"HELIOGRAPH_LISTEN_HTTP=env:1", "HELIOGRAPH_LISTEN_HTTPS=env:2", "HELIOGRAPH_DATA=", "PATH=/bin")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]struct{ have, value, origin string }{
		"listen.http":       {string(c.Listen.HTTP), "flag:1", "flag --http"},
		"listen.https":      {string(c.Listen.HTTPS), "env:2", "environment HELIOGRAPH_LISTEN_HTTPS"},
		"listen.operations": {string(c.Listen.Operations), "file:3", "heliograph.yaml:4"},
		"data":              {c.Data, "", "default"},
		"log.format":        {c.Log.Format, "auto", "default"},
	} {
		if want.have != want.value || c.Origin(key) != want.origin {
			t.Errorf("%s is %q from %s, want %q from %s", key, want.have, c.Origin(key), want.value, want.origin)
		}
	}
	if filepath.Base(c.File) != "heliograph.yaml" {
		t.Errorf("File is %q", c.File)
	}
}

func TestEveryShapeOfValue(t *testing.T) {
	t.Parallel()
	want := func(c *config.Config) {
		c.ShutdownGrace = 90 * time.Second
		c.Outbound.AllowLoopback = false
		c.Store.MaxLogBytes = 3 << 29
		c.Delivery.BatchCount = 12_000
		c.Log.Level = slog.LevelWarn
		c.Identity.Tenant = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
		c.Identity.Audiences = []string{"api://one", "api://two"}
		c.Identity.Issuers = []config.Issuer{
			{URL: "https://a.example/?x=y"}, {URL: "https://b.example", Tenant: "3f2504e0-4f89-11d3-9a0c-0305e82c3301"},
		}
		c.Drives = []config.Drive{{User: "ann", Dir: "/srv/a=b"}, {User: "bob", Dir: "b"}}
		c.Catalog.Quotas = []config.Quota{{Name: "outlook.user", Limit: 2}, {Name: "teams"}}
		c.Listen.HTTPS = ""
	}
	for name, load := range map[string]func() (*config.Config, error){
		"file": func() (*config.Config, error) {
			return from(t, config.Dev, `
shutdown_grace: 90s
drives: [ann=/srv/a=b, "bob=b"]
listen: {https: off, trusted_proxies: [10.0.0.0/8, "::1"]}
outbound: {allow_loopback: false}
catalog: {quotas: [outlook.user=2, teams=none]}
store: {max_log_bytes: 1.5 gib, retention: 0}
delivery: {batch_count: 12_000}
log: {level: WARN}
identity:
  tenant: 3F2504E0-4F89-11D3-9A0C-0305E82C3301
  audiences:
    - api://one
    - api://two
  issuers:
    - https://a.example/?x=y
    - 3F2504E0-4F89-11D3-9A0C-0305E82C3301=https://b.example
  users:
`, nil)
		},
		"environment": func() (*config.Config, error) {
			return from(t, config.Dev, "", nil, "HELIOGRAPH_SHUTDOWN_GRACE=1m30s", "HELIOGRAPH_DRIVES=ann=/srv/a=b,bob=b",
				"HELIOGRAPH_CATALOG_QUOTAS=outlook.user=2, teams=none",
				"HELIOGRAPH_LISTEN_HTTPS=off", "HELIOGRAPH_LISTEN_TRUSTED_PROXIES=10.1.2.3/8, ::1",
				"HELIOGRAPH_OUTBOUND_ALLOW_LOOPBACK=0", "HELIOGRAPH_STORE_MAX_LOG_BYTES=1536MiB", "HELIOGRAPH_STORE_RETENTION=0s",
				"HELIOGRAPH_DELIVERY_BATCH_COUNT=12000", "HELIOGRAPH_LOG_LEVEL=warn",
				"HELIOGRAPH_IDENTITY_TENANT=3f2504e0-4f89-11d3-9a0c-0305e82c3301",
				"HELIOGRAPH_IDENTITY_AUDIENCES=api://one,api://two",
				"HELIOGRAPH_IDENTITY_ISSUERS=https://a.example/?x=y,3f2504e0-4f89-11d3-9a0c-0305e82c3301=https://b.example")
		},
		"flags": func() (*config.Config, error) {
			return from(t, config.Dev, "", []string{
				"--quota=outlook.user=2", "--quota=teams=none", "--shutdown-grace=90s", "--drive", "ann=/srv/a=b", "--drive", "bob=b", "--https=off",
				"--listen-trusted-proxies=10.0.0.0/8", "--listen-trusted-proxies=::1/128", "--outbound-allow-loopback=false",
				"--store-max-log-bytes=1610612736", "--delivery-batch-count=1", "--delivery-batch-count=12000", "--log-level=warn",
				"--tenant=3f2504e0-4f89-11d3-9a0c-0305e82c3301", "--audience=api://one", "--audience=api://two",
				"--issuer=https://a.example/?x=y", "--issuer=3f2504e0-4f89-11d3-9a0c-0305e82c3301=https://b.example",
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have, err := load()
			if err != nil {
				t.Fatal(err)
			}
			expected := config.Default(config.Dev)
			want(expected)
			expected.File, expected.TLS.LocalCA = have.File, have.TLS.LocalCA
			if proxies := fmt.Sprint(have.Listen.TrustedProxies); proxies != "[10.0.0.0/8 ::1/128]" {
				t.Errorf("trusted proxies are %s", proxies)
			}
			expected.Listen.TrustedProxies = have.Listen.TrustedProxies
			if diff := cmp.Diff(expected, have, cmpopts.IgnoreUnexported(config.Config{}), cmp.Comparer(samePrefix), cmp.Comparer(sameSecret)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func samePrefix(a, b interface{ IsValid() bool }) bool { return reflect.DeepEqual(a, b) }

func sameSecret(a, b heliograph.Secret) bool { return a.Reveal() == b.Reveal() }

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	const hidden = "s3cr3t"
	c, err := from(t, config.Serve, "", nil, "HELIOGRAPH_PAGES_CLIENT_SECRET="+hidden)
	if err != nil || c.Pages.ClientSecret.Reveal() != hidden {
		t.Fatal("the secret is not what was written", err)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if printed := out.String() + fmt.Sprintf("%v %+v %#v", c, *c, c); strings.Contains(printed, hidden) || !strings.Contains(out.String(), "client_secret: '[redacted]'") {
		t.Errorf("a secret is printed: %s", printed)
	}
	if _, err := from(t, config.Serve, "pages: {client_secret: ["+hidden+"]}", nil); err == nil || strings.Contains(err.Error(), hidden) {
		t.Errorf("%v", err)
	}
}

func TestObjectsHoldSecrets(t *testing.T) {
	t.Parallel()
	const hidden = "s3cr3t"
	file := `
identity:
  applications:
    - {id: one, name: One, secret: ` + hidden + `, roles: [Mail.Read], redirect_uris: [http://localhost/]}
    - id: two
  users:
    - {upn: ann@example.com, password: ` + hidden + `, id: AA, roles: [y], directory_roles: [x]}
`
	fromFile, err := from(t, config.Dev, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	fromEnv, err := from(t, config.Dev, "", nil,
		`HELIOGRAPH_IDENTITY_APPLICATIONS=[{"id":"one","name":"One","secret":"`+hidden+`","roles":["Mail.Read"],"redirect_uris":["http://localhost/"]},{"id":"two"}]`,
		`HELIOGRAPH_IDENTITY_USERS=[{upn: ann@example.com, password: `+hidden+`, id: aa, roles: [y], directory_roles: [x]}]`)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*config.Config{"file": fromFile, "environment": fromEnv} {
		want := []config.Application{
			{ID: "one", Name: "One", Secret: heliograph.NewSecret(hidden), Roles: []string{"Mail.Read"}, RedirectURIs: []string{"http://localhost/"}}, {ID: "two"},
		}
		if !reflect.DeepEqual(c.Identity.Applications, want) {
			t.Errorf("%s: applications are not what was written", name)
		}
		users := []config.User{
			{UPN: "ann@example.com", ID: "aa", Password: heliograph.NewSecret(hidden), Roles: []string{"y"}, DirectoryRoles: []string{"x"}},
		}
		if !reflect.DeepEqual(c.Identity.Users, users) {
			t.Errorf("%s: users are not what was written", name)
		}
		var out bytes.Buffer
		if err := c.Print(&out); err != nil {
			t.Fatal(err)
		}
		for _, printed := range []string{out.String(), fmt.Sprintf("%v %+v %#v", c, *c, c)} {
			if strings.Contains(printed, hidden) {
				t.Errorf("%s: a secret is printed: %s", name, printed)
			}
		}
		if !strings.Contains(out.String(), "[redacted]") {
			t.Errorf("%s: no mask in %s", name, out.String())
		}
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file string
		args, env  []string
		want       []string // parts of the error
	}{
		{name: "unknown key", file: "lisen:\n  http: x\n", want: []string{"heliograph.yaml:1: unknown key lisen; did you mean listen?"}},
		{
			name: "unknown key in a group", file: "a: 1\nlisten:\n  htps: x\n",
			want: []string{"heliograph.yaml:3: unknown key listen.htps; did you mean listen.https?", "heliograph.yaml:1: unknown key a"},
		},
		{name: "nothing like it", file: "surprise: 1\n", want: []string{"unknown key surprise"}},
		{name: "twice", file: "data: a\ndata: b\n", want: []string{"heliograph.yaml:2: data stands here twice"}},
		{name: "a group is a value", file: "listen: 8080\n", want: []string{"heliograph.yaml:1: listen holds settings"}},
		{name: "a value is a group", file: "data:\n  dir: x\n", want: []string{"heliograph.yaml:2: data is a single setting"}},
		{name: "a value is a list", file: "data: [a, b]\n", want: []string{"data (heliograph.yaml:1): this is one value, not a list"}},
		{name: "no mapping", file: "- a\n", want: []string{"the file holds settings"}},
		{name: "no YAML", file: "a: [\n", want: []string{"yaml: line"}},
		{name: "two documents", file: "data: a\n---\ndata: b\n", want: []string{"more than one YAML document"}},
		{name: "duration", args: []string{"--store-retention=24"}, want: []string{"store.retention (flag --store-retention): \"24\" is no duration"}},
		{name: "size", env: []string{"HELIOGRAPH_STORE_MAX_LOG_BYTES=lots"}, want: []string{"store.max_log_bytes (environment HELIOGRAPH_STORE_MAX_LOG_BYTES): \"lots\" is no size"}},
		{name: "number", file: "delivery: {batch_count: many}", want: []string{"delivery.batch_count (heliograph.yaml:1): \"many\" is no whole number"}},
		{name: "bool", file: "nats: {accept_lazy_fsync: maybe}", want: []string{"\"maybe\" is neither true nor false"}},
		{name: "level", file: "log: {level: loud}", want: []string{"\"loud\" is no level: write debug, info, warn or error"}},
		{name: "prefix", file: "outbound: {allow: [10.0.0.0/8, home]}", want: []string{"\"home\" is no address or prefix"}},
		{name: "quota", args: []string{"--quota=outlook"}, want: []string{"catalog.quotas (flag --quota): \"outlook\" is no quota: write NAME=LIMIT"}},
		{name: "quota of none", args: []string{"--quota=outlook=0"}, want: []string{"\"outlook=0\" is no quota"}},
		{name: "drive", args: []string{"--drive=/tmp"}, want: []string{"drives (flag --drive): \"/tmp\" is no drive: write USER=DIR"}},
		{name: "object in a list of texts", file: "identity: {audiences: [{a: b}]}", want: []string{"item 1 is no text"}},
		{name: "text for objects", file: "identity: {applications: s3cr3t}", want: []string{"identity.applications (heliograph.yaml:1): this is no list of objects"}},
		{name: "text in objects", file: "identity: {applications: [s3cr3t]}", want: []string{"item 1: this is no object"}},
		{name: "unknown field", file: "identity: {applications: [{id: a, secrt: s3cr3t}]}", want: []string{"item 1: unknown field secrt; did you mean secret?"}},
		{name: "wrong field", file: "identity: {applications: [{id: a, roles: s3cr3t}]}", want: []string{"item 1: a field holds another kind"}},
		{name: "no id", file: "identity: {applications: [{secret: s3cr3t}]}", want: []string{"item 1: an application needs an id"}},
		{name: "no upn", env: []string{"HELIOGRAPH_IDENTITY_USERS=[{password: s3cr3t}]"}, want: []string{"item 1: a user needs a upn"}},
		{name: "no objects", env: []string{"HELIOGRAPH_IDENTITY_USERS=[s3cr3t"}, want: []string{"no YAML list of objects"}},
		{name: "misspelt variable", env: []string{"HELIOGRAPH_LISTN_HTTP=x"}, want: []string{"unknown variable HELIOGRAPH_LISTN_HTTP; did you mean HELIOGRAPH_LISTEN_HTTP?"}},
		{name: "missing file", args: []string{"--config=/nowhere/else.yaml"}, want: []string{"read the configuration file", "/nowhere/else.yaml"}},
		{
			name: "everything at once", file: "dta: x\n", args: []string{"--store-shards=x"}, env: []string{"HELIOGRAPH_STORE_PARTITIONS=y"},
			want: []string{"unknown key dta", "store.shards", "store.partitions"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := from(t, config.Dev, c.file, c.args, c.env...)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, want %q in it", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("a secret is told: %v", err)
			}
		})
	}
}

// TestVariablesOfOthers: Kubernetes makes variables for a service named heliograph, and commands have their own.
func TestVariablesOfOthers(t *testing.T) {
	t.Parallel()
	_, err := from(t, config.Dev, "", nil, "HELIOGRAPH_PORT=tcp://10.0.0.1:80", "HELIOGRAPH_SERVICE_HOST=10.0.0.1",
		"HELIOGRAPH_SERVICE_PORT=80", "HELIOGRAPH_PORT_80_TCP_ADDR=10.0.0.1", "HELIOGRAPH_TOKEN=x", "HELIOGRAPH_URL=x",
		"HELIOGRAPH_SERVER=x", "HELIOGRAPH_TOKEN_URL=x", "HELIOGRAPH_CLIENT_ID=x", "HELIOGRAPH_CLIENT_SECRET=x")
	if err != nil {
		t.Error(err)
	}
}

func TestTheFileIsNamed(t *testing.T) {
	t.Parallel()
	named := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(named, []byte("data: other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, load := range map[string]func() (*config.Config, error){
		"by flag":     func() (*config.Config, error) { return from(t, config.Dev, "data: x", []string{"--config", named}) },
		"by variable": func() (*config.Config, error) { return from(t, config.Dev, "data: x", nil, "HELIOGRAPH_CONFIG="+named) },
	} {
		if c, err := load(); err != nil || c.Data != "other" || c.Origin("data") != "other.yaml:1" {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if c, err := from(t, config.Dev, "# nothing but this\n", nil); err != nil || c.Data != "" {
		t.Errorf("an empty file: %v, %v", c, err)
	}
}

// TestPrintIsRead: what Print writes is a configuration file that says the same.
func TestPrintIsRead(t *testing.T) {
	t.Parallel()
	for _, mode := range []config.Mode{config.Dev, config.Serve} {
		c, err := from(t, mode, "data: 'true'\n", []string{
			"--issuer", "https://a.example", "--drive", "ann=x", "--outbound-deny=10.0.0.0/8", "--log-level=debug",
		}, "HELIOGRAPH_PUBLIC_URL=https://g.example")
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := c.Print(&out); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			"data: \"true\" # heliograph.yaml:1", "public_url: https://g.example # environment HELIOGRAPH_PUBLIC_URL",
			"retention: 24h # default", "level: debug # flag --log-level", "sample_ratio: 1.0 # default",
		} {
			if !strings.Contains(out.String(), line+"\n") {
				t.Errorf("%q is missing in\n%s", line, out.String())
			}
		}
		again, err := from(t, mode, out.String(), nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, out.String())
		}
		again.File = c.File
		if diff := cmp.Diff(c, again, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty(), cmp.Comparer(samePrefix), cmp.Comparer(sameSecret)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestHelpShowsWhatIsForHands(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(flags, config.Dev)
	usage := flags.FlagUsages()
	for _, want := range []string{"--drive USER=DIR", "--data folder", "(default 127.0.0.1:8443)", "--issuer URL", "--nats URL"} {
		if !strings.Contains(usage, want) {
			t.Errorf("%q is missing in\n%s", want, usage)
		}
	}
	if strings.Contains(usage, "--delivery-batch-count") {
		t.Error("the help shows what few people need")
	}
	for _, s := range config.Settings() {
		if config.Help(s.Key) == "" {
			t.Errorf("%s has no comment", s.Key)
		}
		if s.Flag != "" && flags.Lookup(s.Flag) == nil {
			t.Errorf("%s has no flag --%s", s.Key, s.Flag)
		}
	}
}

// TestDeliveryDefaults: the defaults that delivery's own package is measured with are the ones an operator gets.
func TestDeliveryDefaults(t *testing.T) {
	t.Parallel()
	want := deliver.DefaultLimits()
	have := config.Default(config.Serve).Delivery
	if have != (config.Delivery{
		BatchCount: want.BatchCount, BatchBytes: config.Bytes(want.BatchBytes), LanePending: want.LanePending,
		LaneFlights: want.LaneFlights, MaxInFlight: config.Bytes(want.MaxInFlight), MaxUnread: int(want.MaxUnread),
	}) {
		t.Errorf("the configuration says %+v, delivery %+v", have, want)
	}
}

func FuzzBytes(f *testing.F) {
	for _, s := range []string{"0", "1", "900kB", "1.5GiB", "7 B", "-1", "9e30TiB", "kB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b, again config.Bytes
		if b.UnmarshalText([]byte(s)) != nil {
			return
		}
		if b < 0 {
			t.Fatalf("%q is %d", s, b)
		}
		if b > 1<<52 {
			return // read as a float: exact up to here
		}
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Errorf("%q is %d, written %s, read %d (%v)", s, b, b, again, err)
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add("listen:\n  http: x\nidentity: {applications: [{id: a}]}\n")
	f.Add("a: &x [1]\ndata: *x\n")
	f.Add("drives:\n- !!binary x\n")
	file := filepath.Join(f.TempDir(), "fuzz.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Sources{Mode: config.Dev, Environ: []string{"HELIOGRAPH_CONFIG=" + file}})
		if err != nil {
			return
		}
		_ = c.Validate()
		if err := c.Print(io.Discard); err != nil {
			t.Errorf("what was read cannot be printed: %v", err)
		}
	})
}

// Graph's limits hold in production and are asked for in development.
func TestLimitsByMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[config.Mode]bool{config.Serve: true, config.Dev: false} {
		if got := config.Default(mode).API.Limits; got != want {
			t.Errorf("%s: %v", mode, got)
		}
	}
}
