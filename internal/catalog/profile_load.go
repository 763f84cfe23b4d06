package catalog

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
)

// storedProfile is the form of a file of data/profiles.
type storedProfile struct {
	Name       string `yaml:"name"`
	BasedOn    string `yaml:"based_on,omitempty"`
	Expiration struct {
		Floor time.Duration `yaml:"floor"`
		Cap   string        `yaml:"cap"`
	} `yaml:"expiration"`
	Handshake struct {
		Timeout time.Duration `yaml:"timeout"`
	} `yaml:"handshake"`
	Delivery struct {
		FirstTimeout time.Duration `yaml:"first_timeout"`
		RetryTimeout time.Duration `yaml:"retry_timeout"`
		RetryWindow  time.Duration `yaml:"retry_window"`
		Backoff      struct {
			First  time.Duration `yaml:"first"`
			Max    time.Duration `yaml:"max"`
			Factor float64       `yaml:"factor"`
			Jitter float64       `yaml:"jitter"`
		} `yaml:"backoff"`
	} `yaml:"delivery"`
	Endpoint struct {
		Window time.Duration `yaml:"window"`
		After  int           `yaml:"after"`
		Slow   struct {
			Share      float64       `yaml:"share"`
			Over       time.Duration `yaml:"over"`
			Delay      time.Duration `yaml:"delay"`
			ProbeEvery time.Duration `yaml:"probe_every"`
		} `yaml:"slow"`
		Drop struct {
			Share float64       `yaml:"share"`
			Over  time.Duration `yaml:"over"`
			Lasts time.Duration `yaml:"lasts"`
		} `yaml:"drop"`
	} `yaml:"endpoint"`
	Limits struct {
		ClientState   int `yaml:"client_state"`
		CertificateID int `yaml:"certificate_id"`
	} `yaml:"limits"`
	Lifecycle      storedLifecycle           `yaml:"lifecycle"`
	ReauthorizeGap time.Duration             `yaml:"reauthorize_gap"`
	Billing        string                    `yaml:"billing"`
	Lifetimes      map[string]storedLifetime `yaml:"lifetimes"`
	Calls          struct {
		Window time.Duration `yaml:"window"`
		Limits map[string]struct {
			App    int `yaml:"app"`
			Tenant int `yaml:"tenant"`
		} `yaml:"limits"`
	} `yaml:"calls"`
	Context struct {
		Entity string `yaml:"entity"`
		List   string `yaml:"list"`
	} `yaml:"context"`
	Refusals map[string]storedRefusal `yaml:"refusals"`
}

type storedRefusal struct {
	Fact  string `yaml:"fact"`
	Kind  string `yaml:"kind"`
	Code  string `yaml:"code"`
	Text  string `yaml:"text"`
	Basis string `yaml:"basis"`
}

const profileDir = "data/profiles"

// Profiles returns the names of the embedded profiles, the oldest first.
func Profiles() ([]string, error) {
	entries, err := fs.ReadDir(data, profileDir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names, nil
}

func loadProfile(name string) (*Profile, error) {
	var s storedProfile
	if err := s.read(name); err != nil {
		return nil, err
	}
	return s.profile(path.Join(profileDir, name+".yaml"))
}

// read puts a file over what s holds: over the profile that it is based on, if it is.
func (s *storedProfile) read(name string) error {
	file := path.Join(profileDir, name+".yaml")
	text, err := data.ReadFile(file)
	if err != nil {
		known, _ := Profiles()
		return heliograph.Errorf(heliograph.Invalid, "config.profile", "there is no profile %q; there are: %s", name, strings.Join(known, ", "))
	}
	var base struct {
		BasedOn string `yaml:"based_on"`
	}
	if err := yaml.Unmarshal(text, &base); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if base.BasedOn != "" {
		if err := s.read(base.BasedOn); err != nil {
			return fmt.Errorf("%s: based_on: %w", file, err)
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(s); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if s.Name != name {
		return fmt.Errorf("%s: name: %q", file, s.Name)
	}
	return nil
}

func (s *storedProfile) profile(file string) (*Profile, error) {
	var bad problems
	p := &Profile{
		Name: s.Name, ExpirationFloor: s.Expiration.Floor, ExpirationCap: s.Expiration.Cap,
		HandshakeTimeout: s.Handshake.Timeout,
		FirstTimeout:     s.Delivery.FirstTimeout, RetryTimeout: s.Delivery.RetryTimeout, RetryWindow: s.Delivery.RetryWindow,
		Backoff: Backoff(s.Delivery.Backoff),
		Endpoint: EndpointRules{
			Window: s.Endpoint.Window, After: s.Endpoint.After,
			SlowShare: s.Endpoint.Slow.Share, SlowOver: s.Endpoint.Slow.Over, SlowDelay: s.Endpoint.Slow.Delay, ProbeEvery: s.Endpoint.Slow.ProbeEvery,
			DropShare: s.Endpoint.Drop.Share, DropOver: s.Endpoint.Drop.Over, DropFor: s.Endpoint.Drop.Lasts,
		},
		Calls:          Calls{Window: s.Calls.Window, Limits: make(map[string]CallLimit)},
		ClientStateMax: s.Limits.ClientState, CertificateIDMax: s.Limits.CertificateID,
		ReauthorizeGap: s.ReauthorizeGap, Metered: s.Billing == billingMetered,
		EntityContext: s.Context.Entity, ListContext: s.Context.List,
		refusals: make(map[string]refusal, len(s.Refusals)),
	}
	p.stored = s
	s.dated(file, p, &bad)
	s.lifecycle(file, p, &bad)
	if p.ExpirationCap != CapRefuse && p.ExpirationCap != CapClip {
		bad.add(file, "", "expiration: cap", "%q is neither %s nor %s", p.ExpirationCap, CapRefuse, CapClip)
	}
	for field, d := range map[string]time.Duration{
		"expiration: floor": p.ExpirationFloor, "handshake: timeout": p.HandshakeTimeout,
		"delivery: first_timeout": p.FirstTimeout, "delivery: retry_timeout": p.RetryTimeout,
		"delivery: retry_window": p.RetryWindow, "delivery: backoff": p.Backoff.First, "endpoint: window": p.Endpoint.Window,
		"calls: window": p.Calls.Window, "reauthorize_gap": p.ReauthorizeGap,
	} {
		if d <= 0 {
			bad.add(file, "", field, "missing")
		}
	}
	for _, family := range []string{"write", "reauthorize", "get", "list"} {
		limit := CallLimit(s.Calls.Limits[family])
		if limit.App <= 0 || limit.Tenant <= 0 {
			bad.add(file, "", "calls: limits: "+family, "missing")
		}
		p.Calls.Limits[family] = limit
	}
	for _, rule := range slices.Sorted(maps.Keys(s.Refusals)) {
		r, err := newRefusal(s.Refusals[rule])
		if err != nil {
			bad.add(file, "", "refusals: "+rule, "%w", err)
		}
		p.refusals[rule] = r
	}
	return p, bad.err()
}

func newRefusal(s storedRefusal) (refusal, error) {
	r := refusal{code: s.Code, text: s.Text, fact: s.Fact, basis: s.Basis}
	if s.Code == "" || s.Text == "" || s.Fact == "" {
		return r, fmt.Errorf("fact, code and text are needed")
	}
	if !slices.Contains([]string{"documented", "observed", "chosen"}, s.Basis) {
		return r, fmt.Errorf("basis %q", s.Basis)
	}
	for kind := heliograph.Internal; kind <= heliograph.Full; kind++ {
		if kind.String() == s.Kind {
			r.kind = kind
			return r, checkText(s.Text)
		}
	}
	return r, fmt.Errorf("kind %q is not known", s.Kind)
}
