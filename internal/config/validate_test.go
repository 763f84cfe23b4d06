package config_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"heliograph.dev/internal/config"
)

// sound returns a configuration that a server would start with.
func sound(mode config.Mode) *config.Config {
	c := config.Default(mode)
	if mode == config.Serve {
		c.Data, c.Identity.Tenant = "/var/lib/heliograph", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
		c.Identity.Issuers = []config.Issuer{{URL: "https://login.example.org/{tenantid}/v2.0"}}
	} else {
		c.Data, c.TLS.LocalCA = "/home/ann/heliograph", "/home/ann/.config/heliograph/ca"
	}
	return c
}

func TestSoundConfigurations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(*config.Config){
		"as it is": func(*config.Config) {},
		"an engine": func(c *config.Config) {
			c.Data, c.NATS.URL, c.Store.KeyFile = "", "nats://a:4222,tls://b:4222", "vault.keys"
		},
		"a replicated one": func(c *config.Config) { c.NATS.URL, c.Store.Replicas = "nats://a:4222", 3 },
		"only https": func(c *config.Config) {
			c.Listen.HTTP, c.Listen.HTTPS, c.TLS.Certificate, c.TLS.Key = "", ":8443", "c.pem", "k.pem"
		},
		"two free ports":    func(c *config.Config) { c.Listen.HTTP, c.Listen.Operations = "127.0.0.1:0", "127.0.0.1:0" },
		"a loopback issuer": func(c *config.Config) { c.Identity.Issuers = []config.Issuer{{URL: "http://127.0.0.1:5556/dex"}} },
		"an issuer by http": func(c *config.Config) {
			c.Identity.Issuers, c.Identity.AllowHTTP = []config.Issuer{{URL: "http://dex"}}, true
		},
		"behind a proxy":     func(c *config.Config) { c.PublicURL = "https://graph.example.org/base" },
		"the least of times": func(c *config.Config) { c.Store.Retention = 4 * time.Hour },
	} {
		for _, mode := range []config.Mode{config.Dev, config.Serve} {
			have := sound(mode)
			c(have)
			if err := have.Validate(); err != nil {
				t.Errorf("%s, %s: %v", mode, name, err)
			}
		}
	}
}

func TestWhatIsWrongIsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, about string // what the error names
		modes      []config.Mode
		change     func(*config.Config)
	}{
		{key: "data", about: "--data DIR", modes: serve, change: func(c *config.Config) { c.Data = "" }},
		{key: "identity.issuers", about: "heliograph dev", modes: serve, change: func(c *config.Config) { c.Identity.Issuers = nil }},
		{key: "drives", about: "identity.tenant", modes: serve, change: func(c *config.Config) {
			c.Identity.Tenant, c.Drives = "", []config.Drive{{User: "ann", Dir: "x"}}
		}},
		{key: "identity.applications", about: "remove it", modes: serve, change: func(c *config.Config) { c.Identity.Applications = []config.Application{{ID: "a"}} }},
		{key: "identity.users", about: "remove it", modes: serve, change: func(c *config.Config) { c.Identity.Users = []config.User{{UPN: "a"}} }},
		{key: "pages.client_id", about: "leave out the rest", change: func(c *config.Config) { c.Pages.Issuer = "https://a.example" }},
		{key: "pages.client_id", about: "remove it", modes: dev, change: pages()},
		{key: "public_url", about: "sent back", modes: serve, change: pages(func(c *config.Config) { c.PublicURL = "" })},
		{key: "public_url", about: "only over https", modes: serve, change: pages(func(c *config.Config) { c.PublicURL = "http://graph.example.org" })},
		{key: "pages.issuer", about: "not believed", modes: serve, change: pages(func(c *config.Config) { c.Pages.Issuer = "https://elsewhere.example" })},
		{key: "pages.issuer", about: "several", modes: serve, change: pages(func(c *config.Config) {
			c.Identity.Issuers = append(c.Identity.Issuers, config.Issuer{URL: "https://second.example"})
		})},
		{key: "pages.issuer", about: "many tenants", modes: serve, change: pages(func(c *config.Config) {
			c.Identity.Issuers = []config.Issuer{{URL: "https://login.example/{tenantid}/v2.0"}}
		})},
		{key: "pages.session", about: "1m", modes: serve, change: pages(func(c *config.Config) { c.Pages.Session = time.Second })},
		{key: "listen.https", about: "tls.certificate", modes: serve, change: func(c *config.Config) { c.Listen.HTTPS = ":8443" }},
		{key: "tls.local_ca", about: "listen.https off", modes: dev, change: func(c *config.Config) { c.TLS.LocalCA = "" }},
		{key: "identity.tenant", about: "write a GUID", modes: dev, change: func(c *config.Config) { c.Identity.Tenant = "contoso" }},
		{key: "identity.users", about: "write a GUID", modes: dev, change: func(c *config.Config) { c.Identity.Users = []config.User{{UPN: "a", Tenant: "b"}} }},
		{key: "identity.applications", about: "twice", modes: dev, change: func(c *config.Config) {
			c.Identity.Applications = []config.Application{{ID: "a"}, {ID: "a"}}
		}},
		{key: "identity.issuers", about: "no issuer", change: func(c *config.Config) { c.Identity.Issuers = []config.Issuer{{URL: "login"}} }},
		{key: "identity.issuers", about: "allow_http", change: func(c *config.Config) { c.Identity.Issuers = []config.Issuer{{URL: "http://dex.example"}} }},
		{key: "listen.http", about: "host:port", change: func(c *config.Config) { c.Listen.HTTP = "8080" }},
		{key: "listen.http", about: "host:port", change: func(c *config.Config) { c.Listen.HTTP = "a:70000" }},
		{key: "listen.operations", about: "listen.http already", change: func(c *config.Config) { c.Listen.Operations = c.Listen.HTTP }},
		{key: "listen.http", about: "neither", change: func(c *config.Config) { c.Listen.HTTP, c.Listen.HTTPS = "", "" }},
		{key: "tls.certificate", about: "belong together", change: func(c *config.Config) { c.TLS.Key = "k.pem" }},
		{key: "tls.certificate", about: "listen.https", change: func(c *config.Config) {
			c.Listen.HTTPS, c.TLS.Certificate, c.TLS.Key = "", "c.pem", "k.pem"
		}},
		{key: "public_url", about: "no URL of a server", change: func(c *config.Config) { c.PublicURL = "graph.example.org" }},
		{key: "public_url", about: "no URL of a server", change: func(c *config.Config) { c.PublicURL = "https://graph.example.org/?a" }},
		{key: "nats.credentials", about: "nats.url", change: func(c *config.Config) { c.NATS.Credentials = "x" }},
		{key: "nats.ca", about: "nats.url", change: func(c *config.Config) { c.NATS.CA = "x" }},
		{key: "nats.accept_lazy_fsync", about: "nats.url", change: func(c *config.Config) { c.NATS.AcceptLazyFsync = true }},
		{key: "store.replicas", about: "nats.url", change: func(c *config.Config) { c.Store.Replicas = 3 }},
		{key: "store.replicas", about: "1, 3 or 5", change: func(c *config.Config) { c.NATS.URL, c.Store.Replicas = "nats://a", 2 }},
		{key: "store.key_file", about: "--key-file", change: func(c *config.Config) { c.Data, c.NATS.URL = "", "nats://a" }},
		{key: "nats.url", about: "no NATS address", change: func(c *config.Config) { c.NATS.URL = "a:4222" }},
		{key: "nats.url", about: "nats.credentials", change: func(c *config.Config) { c.NATS.URL = "nats://u:s3cr3t@a:4222" }},
		{key: "store.partitions", about: "at least 1", change: func(c *config.Config) { c.Store.Partitions = -1 }},
		{key: "store.shards", about: "at least 1", change: func(c *config.Config) { c.Store.Shards = 0 }},
		{key: "store.partitions", about: "at most 256", change: func(c *config.Config) { c.Store.Partitions = 257 }},
		{key: "store.shards", about: "at most 64", change: func(c *config.Config) { c.Store.Shards = 65 }},
		{key: "store.retention", about: "4h", change: func(c *config.Config) { c.Store.Retention = time.Hour }},
		{key: "store.max_log_bytes", about: "at least", change: func(c *config.Config) { c.Store.MaxLogBytes = 1 }},
		{key: "store.min_free_bytes", about: "at least", change: func(c *config.Config) { c.Store.MinFreeBytes = -1 }},
		{key: "publish.max_event_bytes", about: "at least", change: func(c *config.Config) { c.Publish.MaxEventBytes = 1 }},
		{key: "publish.max_batch_events", about: "at least", change: func(c *config.Config) { c.Publish.MaxBatchEvents = 0 }},
		{key: "publish.max_request_bytes", about: "900kB", change: func(c *config.Config) { c.Publish.MaxRequestBytes = 1 << 20 }},
		{key: "publish.max_request_bytes", about: "max_event_bytes", change: func(c *config.Config) { c.Publish.MaxRequestBytes = 1000 }},
		{key: "delivery.batch_count", about: "at least", change: func(c *config.Config) { c.Delivery.BatchCount = 0 }},
		{key: "delivery.batch_bytes", about: "at least", change: func(c *config.Config) { c.Delivery.BatchBytes = 0 }},
		{key: "delivery.lane_pending", about: "at least 128", change: func(c *config.Config) { c.Delivery.LanePending = 127 }},
		{key: "delivery.lane_flights", about: "at least", change: func(c *config.Config) { c.Delivery.LaneFlights = 0 }},
		{key: "delivery.max_in_flight", about: "at least", change: func(c *config.Config) { c.Delivery.MaxInFlight = 0 }},
		{key: "delivery.max_unread", about: "at least 1000", change: func(c *config.Config) { c.Delivery.MaxUnread = 999 }},
		{key: "shutdown_grace", about: "at least", change: func(c *config.Config) { c.ShutdownGrace = 0 }},
		{key: "catalog.profile", about: "leave it out", change: func(c *config.Config) { c.Catalog.Profile = "" }},
		{key: "tracing.endpoint", about: "4318", change: func(c *config.Config) { c.Tracing.Endpoint = "collector:4318" }},
		{key: "tracing.endpoint", about: "OTEL_EXPORTER_OTLP_HEADERS", change: func(c *config.Config) { c.Tracing.Endpoint = "https://u:s3cr3t@collector" }},
		{key: "tracing.sample_ratio", about: "0 to 1", change: func(c *config.Config) { c.Tracing.SampleRatio = 2 }},
		{key: "tracing.service", about: "leave it out", change: func(c *config.Config) { c.Tracing.Service = "" }},
		{key: "log.format", about: "auto, text or json", change: func(c *config.Config) { c.Log.Format = "xml" }},
		{key: "drives", about: "USER=DIR", change: func(c *config.Config) { c.Drives = []config.Drive{{User: "a"}} }},
		{key: "drives", about: "two drives", change: func(c *config.Config) { c.Drives = []config.Drive{{"a", "x"}, {"a", "y"}} }},
	} {
		for _, mode := range c.modes {
			expectProblem(t, mode, c.key, c.about, c.change)
		}
		if c.modes == nil {
			expectProblem(t, config.Dev, c.key, c.about, c.change)
			expectProblem(t, config.Serve, c.key, c.about, c.change)
		}
	}
}

var (
	dev   = []config.Mode{config.Dev}
	serve = []config.Mode{config.Serve}
)

// expectProblem: the change makes exactly one line, which begins with the key and its origin.
func expectProblem(t *testing.T, mode config.Mode, key, about string, change func(*config.Config)) {
	t.Helper()
	c := sound(mode)
	change(c)
	err := c.Validate()
	switch {
	case err == nil:
		t.Errorf("%s %s: nothing is wrong", mode, key)
	case !strings.HasPrefix(err.Error(), key+" (default): ") || !strings.Contains(err.Error(), about):
		t.Errorf("%s %s: %q, want %q in it", mode, key, err, about)
	case strings.Contains(err.Error(), "\n"), strings.Contains(err.Error(), "s3cr3t"):
		t.Errorf("%s %s: %q", mode, key, err)
	}
}

func TestEverythingWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	c, err := from(t, config.Serve, "log:\n  format: xml\n", []string{"--http=8080"}, "HELIOGRAPH_STORE_REPLICAS=2")
	if err != nil {
		t.Fatal(err)
	}
	told := fmt.Sprint(c.Validate())
	for _, want := range []string{
		"log.format (heliograph.yaml:2): ", "listen.http (flag --http): ", "store.replicas (environment HELIOGRAPH_STORE_REPLICAS): ",
		"data (default): ", "identity.issuers (default): ",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is missing in\n%s", want, told)
		}
	}
	for range 5 {
		if again := fmt.Sprint(c.Validate()); again != told {
			t.Errorf("the same configuration is told differently:\n%s\n%s", told, again)
		}
	}
	if c := config.Default(config.Mode("prod")); !strings.Contains(fmt.Sprint(c.Validate()), `"prod" is no mode`) {
		t.Errorf("a mode that is none: %v", c.Validate())
	}
}

// TestNearestKey: one letter off is found for every key.
func TestNearestKey(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, s := range config.Settings() {
		key := []byte(s.Key)
		at := strings.IndexByte(s.Key, '.') + 1 + random.IntN(len(key)-strings.IndexByte(s.Key, '.')-1)
		key[at] = 'Z' // a letter that no key has
		group, name, nested := strings.Cut(string(key), ".")
		file := string(key) + ": x\n"
		if nested {
			file = group + ":\n  " + name + ": x\n"
		}
		_, err := from(t, config.Dev, file, nil)
		if err == nil || !strings.HasSuffix(err.Error(), "did you mean "+s.Key+"?") {
			t.Errorf("%s: %v", s.Key, err)
		}
	}
}

// pages configures the pages, and then changes something.
func pages(change ...func(*config.Config)) func(*config.Config) {
	return func(c *config.Config) {
		c.PublicURL, c.Pages.ClientID = "https://graph.example.org", "pages"
		c.Identity.Issuers = []config.Issuer{{URL: "https://login.example"}}
		for _, f := range change {
			f(c)
		}
	}
}

func TestPagesOfATemplatesTenant(t *testing.T) {
	t.Parallel()
	c := config.Default(config.Serve)
	c.Data, c.PublicURL, c.Pages.ClientID, c.Pages.Issuer = "x", "https://graph.example.org", "pages", "https://login.example/one/v2.0"
	c.Identity.Issuers = []config.Issuer{{URL: "https://login.example/{tenantid}/v2.0"}}
	if err := c.Validate(); err != nil || c.PagesIssuer() != c.Pages.Issuer {
		t.Error(err)
	}
}
