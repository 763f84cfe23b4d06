// Package config reads what an operator says about a server: flags over the environment over heliograph.yaml over
// defaults, one typed [Config] out.
//
// Every setting has a key (listen.http). The key is its place in the file, its variable (HELIOGRAPH_LISTEN_HTTP) and
// its flag (--listen-http, shorter for the few that are used by hand). [Load] refuses keys that it does not know and
// names the nearest that it does; [Config.Validate] tells everything that is wrong at once, with the key, where the
// value came from and what to do. Secrets are of a type that prints as redacted.
//
// The comments of the fields below are the reference: docs/reference/config.md and the help texts of the flags are
// made from them by go generate.
package config

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"heliograph.dev"
)

//go:generate go test -run ^TestGenerated$ . -update

// Mode is what a server is for. It decides the defaults, and how much Validate demands.
type Mode string

// The modes, named as the commands.
const (
	Dev   Mode = "dev"   // on loopback, nothing to configure
	Serve Mode = "serve" // production
)

// Config is the effective configuration. Default and Load make one; a program that embeds the server may then change
// its fields.
type Config struct {
	Mode Mode `key:"-"`

	// The folder that keeps everything. Left out, dev makes a temporary one and removes it at the end; serve needs it,
	// or nats.url.
	Data string `key:"data" shape:"folder" flag:"data"`
	// The URL under which clients reach the server, such as https://graph.example.org. Left out, it is taken from each
	// request.
	PublicURL string `key:"public_url" shape:"URL"`
	// How long a stop may take: requests and deliveries under way come to their end within it.
	ShutdownGrace time.Duration `key:"shutdown_grace"`
	// Folders that are users' drives, each as USER=DIR: what is written below DIR is published as a change of
	// users/USER/drive/root.
	Drives []Drive `key:"drives" flag:"drive"`

	Listen   Listen   `key:"listen"`
	TLS      TLS      `key:"tls"`
	NATS     NATS     `key:"nats"`
	Cluster  Cluster  `key:"cluster"`
	Store    Store    `key:"store"`
	Identity Identity `key:"identity"`
	Catalog  Catalog  `key:"catalog"`
	API      API      `key:"api"`
	Pages    Pages    `key:"pages"`
	Outbound Outbound `key:"outbound"`
	Tokens   Tokens   `key:"validation_tokens"`
	Publish  Publish  `key:"publish"`
	Delivery Delivery `key:"delivery"`
	Objects  Objects  `key:"objects"`
	Log      Log      `key:"log"`
	Tracing  Tracing  `key:"tracing"`

	// File is the configuration file that was read, or empty.
	File string `key:"-"`
	// origins tells where values came from that are not defaults, by key.
	origins map[string]string
}

// Listen says where the server is reached.
type Listen struct {
	// Where to answer http, as host:port. Port 0 takes a free one.
	HTTP Address `key:"http" flag:"http"`
	// Where to answer https, as host:port. dev makes a certificate of its own unless tls.certificate is set.
	HTTPS Address `key:"https" flag:"https"`
	// A further address that answers what the others do: for /metrics, /readyz and the profiler (/debug/pprof/, with
	// Heliograph.Control) on a network of the operators' own.
	Operations Address `key:"operations"`
	// Proxies that are believed when they say X-Forwarded-Proto and X-Forwarded-Host: addresses or prefixes.
	TrustedProxies []netip.Prefix `key:"trusted_proxies"`
}

// TLS is what https is answered with.
type TLS struct {
	// The PEM file of the certificate and those that it rests on.
	Certificate string `key:"certificate" shape:"file" flag:"tls-cert"`
	// The PEM file of the certificate's key.
	Key string `key:"key" shape:"file" flag:"tls-key"`
	// dev: the folder of the local authority that certificates are made with when there is none. It is made once, so
	// that clients trust it once. Left out: heliograph/ca in the user's configuration folder.
	LocalCA string `key:"local_ca" shape:"folder" flag:"local-ca"`
}

// NATS points to an engine outside of this process.
type NATS struct {
	// The address of an existing NATS with JetStream (nats://host:4222), several with commas between them. Left out,
	// the engine runs in this process and keeps its files in the data folder.
	URL string `key:"url" shape:"URL" flag:"nats"`
	// The credentials file for it.
	Credentials string `key:"credentials" shape:"file"`
	// The PEM file of the authorities that its certificate may be of. Left out, the system's.
	CA string `key:"ca" shape:"file"`
	// Take a NATS that answers before its data is on disk. A power cut then loses what was promised to publishers.
	AcceptLazyFsync bool `key:"accept_lazy_fsync"`
}

// Cluster makes this server one of several that keep everything together.
type Cluster struct {
	// The name of the cluster that this server is a node of. Its nodes keep everything together, three copies of each
	// piece unless store.replicas says otherwise. Left out: the server is alone, or shares an existing NATS.
	Name string `key:"name" shape:"name" flag:"cluster"`
	// This node's own name in the cluster: letters, digits, - and _. It stays, and the data folder with it. Left out: the
	// machine's name.
	Node string `key:"node" shape:"name" flag:"node"`
	// Where the other nodes connect to, as host:port.
	Listen Address `key:"listen"`
	// What the other nodes are told to connect to, as host:port, where cluster.listen is not what they reach.
	Advertise string `key:"advertise" shape:"host:port"`
	// The addresses of the nodes, each as host:port, or several with commas between them. This node's own may be among
	// them.
	Peers []string `key:"peers" shape:"host:port" flag:"peers"`
	// The file with the secret by which the nodes know each other.
	SecretFile string `key:"secret_file" shape:"file" flag:"cluster-secret-file"`
	// The PEM file of the certificate that this node shows to the others, and asks of them, with those that it rests on.
	// Left out, what they say to each other is not encrypted.
	Certificate string `key:"certificate" shape:"file"`
	// The PEM file of the certificate's key.
	Key string `key:"key" shape:"file"`
	// The PEM file of the authorities that nodes' certificates are of.
	CA string `key:"ca" shape:"file"`
}

// Addresses returns the addresses of the nodes, one each.
func (c *Cluster) Addresses() []string {
	var all []string
	for _, peers := range c.Peers {
		for peer := range strings.SplitSeq(peers, ",") {
			if peer = strings.TrimSpace(peer); peer != "" {
				all = append(all, peer)
			}
		}
	}
	return all
}

// Store says how the engine keeps what must survive.
type Store struct {
	// How many partitions a new change log has, up to 256: tenants are spread over them, each has its own order and
	// reader, and in a cluster is worked by one node. It cannot be changed later. Left out: 1, or 12 in a cluster.
	Partitions int `key:"partitions"`
	// How many streams hold the subscriptions of a new store, up to 64. It cannot be changed later.
	Shards int `key:"shards"`
	// How many nodes of a cluster keep each piece of data: 1, 3 or 5. Left out: 1, or 3 in a cluster of its own.
	Replicas int `key:"replicas"`
	// The file of the keys that everything stored is sealed with. It is made together with a new store. Without it nothing
	// can be read any more: keep a copy elsewhere. Left out: vault.keys in the data folder. Where nats.url is set and data
	// is not, it has to be said.
	KeyFile string `key:"key_file" shape:"file" flag:"key-file"`
	// How long the change log is kept for those who read it again.
	Retention time.Duration `key:"retention"`
	// How large the change log may get. Publishers are refused while it is full.
	MaxLogBytes Bytes `key:"max_log_bytes"`
	// How much room the disk must have left. Publishers are refused below it.
	MinFreeBytes Bytes `key:"min_free_bytes"`
}

// StoreKeys returns the file of the keys that everything stored is sealed with, or "" when it is not known where it would
// be.
func (c *Config) StoreKeys() string {
	if c.Store.KeyFile == "" && c.Data != "" {
		return filepath.Join(c.Data, "vault.keys")
	}
	return c.Store.KeyFile
}

// Identity says whose tokens are believed. In dev, the server's own issuer is believed besides.
type Identity struct {
	// Issuers whose tokens are believed: a URL (https://login.example.org/realms/one), one with {tenantid} in it, or
	// TENANT=URL for an issuer that speaks for one tenant only. serve needs at least one.
	Issuers []Issuer `key:"issuers" shape:"URL" flag:"issuer"`
	// What tokens may call this server (aud). Left out: Graph's own names.
	Audiences []string `key:"audiences" shape:"name" flag:"audience"`
	// Believe issuers over http that are not on loopback.
	AllowHTTP bool `key:"allow_http"`
	// The tenant that drives are of, a GUID; in dev also the one behind common and organizations. Left out, dev has one
	// that is always the same; serve needs it for drives.
	Tenant heliograph.TenantID `key:"tenant" flag:"tenant"`
	// dev: the only applications that get tokens, each with id, name, secret, roles (application permissions; left
	// out: all) and redirect_uris (left out: this machine's). Left out: any id with any secret.
	Applications []Application `key:"applications" flag:"-"`
	// dev: the only users that get tokens, each with upn, id, tenant, name, password, roles and directory_roles. Left out:
	// any name with any password.
	Users []User `key:"users" flag:"-"`
}

// Catalog says what can be subscribed to, and which of Graph's rules hold.
type Catalog struct {
	// The dated set of Graph's limits, texts and time-outs.
	Profile string `key:"profile" shape:"name" flag:"profile"`
	// Demand what the newest documentation demands. Otherwise every permission that was ever documented to suffice does,
	// and what Graph only advises against is reported and not refused.
	StrictPermissions bool `key:"strict_permissions" flag:"strict-permissions"`
	// The Microsoft cloud that the server plays: global, us-l4, us-l5 or china. Resources that it does not have are
	// refused, and identity.audiences are its own unless they are set.
	Cloud string `key:"cloud" shape:"name" flag:"cloud"`
	// Other limits on the number of subscriptions than Graph's, each as NAME=LIMIT: the name of a quota, of a pool of
	// them, or all; a number or none. heliograph config --rules lists them.
	Quotas []Quota `key:"quotas" flag:"quota"`
	// Have endpoints prove themselves at every update of a subscription, as Graph sometimes does, and not only when
	// their URL changes.
	ProveRenewals bool `key:"prove_renewals"`
	// YAML files with further resources, or other rows for known ones, in the form of the built-in ones.
	Resources []string `key:"resources" shape:"file" flag:"resources"`
}

// API says what clients of the Graph API may do.
type API struct {
	// Hold applications to the number of calls that the profile allows within its window, over all tenants and in each:
	// more are refused (429). Each node counts for itself.
	Limits bool `key:"limits"`
}

// Pages says where people sign in who look at a server's pages. In dev nobody has to.
type Pages struct {
	// serve: the application's id at the identity provider, with public_url + /signin/callback as a redirect URI. Left out,
	// there are no pages. A person who has the role Heliograph.Control there may do what an operator may.
	ClientID string `key:"client_id" shape:"name"`
	// The application's secret.
	ClientSecret heliograph.Secret `key:"client_secret" flag:"-"`
	// The provider, as it stands in the iss of its tokens. Left out, the only one of identity.issuers.
	Issuer string `key:"issuer" shape:"URL"`
	// What is asked for besides openid. Left out: profile.
	Scopes []string `key:"scopes" shape:"name"`
	// How long a session lasts at most. It ends with the provider's token, too.
	Session time.Duration `key:"session"`
}

// Outbound says where notifications may go.
type Outbound struct {
	// Let endpoints be on loopback, by plain http too.
	AllowLoopback bool `key:"allow_loopback"`
	// Further addresses or prefixes, besides the public ones, that endpoints may have.
	Allow []netip.Prefix `key:"allow"`
	// Addresses or prefixes that no endpoint may have. It wins over everything that allows.
	Deny []netip.Prefix `key:"deny"`
	// Speak HTTP/2 with https endpoints that offer it: one connection for each instead of up to 64.
	HTTP2 bool `key:"http2"`
	// The PEM file of the authorities that endpoints' certificates may be of. Left out, the system's.
	CA string `key:"ca" shape:"file"`
}

// Tokens says what the validation tokens of rich notifications look like (contract 13.12 to 13.14).
type Tokens struct {
	// Which of Entra's two generations they look like: v2 (azp) or v1 (appid). Some receivers know only one.
	Form string `key:"form"`
	// Scheme and host of the issuer that they name. Left out: public_url, or in dev this server's own address, or else
	// Microsoft's.
	Issuer string `key:"issuer"`
	// The application that they say the notification is sent by. Left out: Graph's.
	Sender string `key:"sender"`
}

// Publish bounds what publishers may send at once.
type Publish struct {
	// The most bytes of one event.
	MaxEventBytes Bytes `key:"max_event_bytes"`
	// The most events of one batch.
	MaxBatchEvents int `key:"max_batch_events"`
	// The most bytes of one request, unpacked.
	MaxRequestBytes Bytes `key:"max_request_bytes"`
	// Let operators make changes up (POST /control/v1/trigger, heliograph trigger). dev does.
	Triggers bool `key:"triggers"`
}

// Objects says whether what was published can be read with Graph's paths, and how much of it is kept. It is kept in memory
// and read from the change log again at a start.
type Objects struct {
	// Answer for what was published: GET of a resource, its collections, and their delta. dev does.
	Read bool `key:"read"`
	// How many resources may be kept, those that are deleted among them. What has not changed for longest goes first.
	MaxCount int `key:"max_count"`
	// How many bytes they may take.
	MaxBytes Bytes `key:"max_bytes"`
}

// Delivery bounds what delivery takes. It is bounded whatever the backlog.
type Delivery struct {
	// The most notifications in one POST.
	BatchCount int `key:"batch_count"`
	// The most bytes in one POST. One notification that is larger goes alone.
	BatchBytes Bytes `key:"batch_bytes"`
	// How many notifications one endpoint may have waiting in memory. What is over waits on disk.
	LanePending int `key:"lane_pending"`
	// How many POSTs to one endpoint may be under way.
	LaneFlights int `key:"lane_flights"`
	// How many bytes of the change log may be in memory, read and not yet done with.
	MaxInFlight Bytes `key:"max_in_flight"`
	// Discard what comes for an endpoint that answers far too late far too often, as Graph does: dev does, to show an
	// application what it will meet. Otherwise it waits on disk like what comes for any ill endpoint.
	Drop bool `key:"drop"`
	// How many accepted changes may wait to be read before publishers are asked to slow down (429).
	MaxUnread int `key:"max_unread"`
}

// Log says what is logged, and how.
type Log struct {
	// The least that is logged: debug, info, warn or error.
	Level slog.Level `key:"level" flag:"log-level"`
	// How lines look: text, json, or auto, which is text on a terminal and json elsewhere.
	Format string `key:"format" flag:"log-format"`
}

// Tracing says where spans go that tell of a change's way, from publish to receipt, and of how many changes. What is
// left out is taken from the OTEL_ variable of that meaning.
type Tracing struct {
	// The URL that spans are posted to, OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces (the path may be left
	// out). Left out: as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT says, or else nothing is
	// traced; off is off whatever they say. OTEL_EXPORTER_OTLP_HEADERS holds what is sent along, such as a key.
	Endpoint string `key:"endpoint" shape:"URL"`
	// How many of the traces that begin here are recorded: 0.01, or 1%. A publisher that sends its own trace context
	// decides for its own.
	SampleRatio Share `key:"sample_ratio"`
	// The name under which this server's spans are shown.
	Service string `key:"service"`
}

// Default returns what holds when nobody says anything.
func Default(mode Mode) *Config {
	c := &Config{
		Mode:          mode,
		ShutdownGrace: 20 * time.Second,
		Listen:        Listen{HTTP: ":8080"},
		Cluster:       Cluster{Listen: ":6222"},
		Store: Store{
			Partitions: 1, Shards: 1, Replicas: 1, Retention: 24 * time.Hour, MaxLogBytes: 32 << 30, MinFreeBytes: 1 << 30,
		},
		Catalog: Catalog{Profile: "2026-04", Cloud: "global"},
		API:     API{Limits: true},
		Pages:   Pages{Scopes: []string{"profile"}, Session: 8 * time.Hour},
		Tokens:  Tokens{Form: "v2"},
		Publish: Publish{MaxEventBytes: 256 << 10, MaxBatchEvents: 1000, MaxRequestBytes: 900_000},
		Delivery: Delivery{
			BatchCount: 128, BatchBytes: 512 << 10, LanePending: 20_000, LaneFlights: 64, MaxInFlight: 128 << 20,
			MaxUnread: 500_000,
		},
		Outbound: Outbound{HTTP2: true},
		Log:      Log{Level: slog.LevelInfo, Format: "auto"},
		Tracing:  Tracing{SampleRatio: 1, Service: "heliograph"},
		Objects:  Objects{MaxCount: 100_000, MaxBytes: 256 << 20},
	}
	if mode == Dev {
		c.ShutdownGrace = 5 * time.Second
		c.Listen.HTTP, c.Listen.HTTPS = "127.0.0.1:8080", "127.0.0.1:8443"
		c.Store.MaxLogBytes, c.Store.MinFreeBytes = 1<<30, 128<<20
		c.API.Limits = false
		c.Outbound.AllowLoopback = true
		c.Delivery.Drop = true
		c.Publish.Triggers, c.Objects.Read = true, true
	}
	return c
}
