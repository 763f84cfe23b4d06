package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// defaultFile is read when no file is named, if it is there.
const defaultFile = "heliograph.yaml"

// Sources are where a configuration comes from.
type Sources struct {
	Mode Mode
	// Flags were made by AddFlags and have been parsed. May be nil.
	Flags *pflag.FlagSet
	// Environ is os.Environ(). Variables that are set to nothing count as not set.
	Environ []string
	// Dir is where heliograph.yaml is looked for when no file is named. Empty: the working directory.
	Dir string
}

// layer is what one source says, by key.
type layer map[string]value

// value is what a source says for one key, before anybody looked at what it should be.
type value struct {
	origin string
	text   []string   // one for a scalar, any number for a list
	commas bool       // a list stands in one text, with commas
	node   *yaml.Node // the list, when it is YAML
}

// Load reads the sources: flags over the environment over the file over OpenTelemetry's variables over the defaults.
// The error tells all that could not be read. The result is not yet validated.
func Load(s Sources) (*Config, error) {
	c := Default(s.Mode)
	c.origins = map[string]string{}
	env, envErr := envLayer(s.Environ)
	file, fileErr := c.fileLayer(s, env)
	errs := []error{fileErr, envErr}
	delete(env, configFlag)
	for _, said := range []layer{otelLayer(s.Environ), file, env, flagLayer(s.Flags)} {
		for _, setting := range settings() {
			v, ok := said[setting.key]
			if !ok {
				continue
			}
			if err := c.set(&setting, v); err != nil {
				errs = append(errs, fmt.Errorf("%s (%s): %w", setting.key, v.origin, err))
			}
		}
	}
	if c.Mode == Dev && c.TLS.LocalCA == "" {
		c.TLS.LocalCA = userFolder("ca")
	}
	c.settleCluster()
	if c.Tracing.Endpoint == off {
		c.Tracing.Endpoint = ""
	}
	return c, errors.Join(errs...)
}

// settleCluster fills in what a node of a cluster has otherwise than a server that is alone.
func (c *Config) settleCluster() {
	if c.Cluster.Name == "" {
		return
	}
	if _, said := c.origins["store.partitions"]; !said {
		c.Store.Partitions = clusterPartitions
	}
	if _, said := c.origins["store.replicas"]; !said {
		c.Store.Replicas = 3
	}
	if c.Cluster.Node == "" {
		name, _ := os.Hostname() // without one, Validate asks for it
		c.Cluster.Node, _, _ = strings.Cut(name, ".")
	}
}

// clusterPartitions divide evenly among 2, 3, 4 and 6 nodes.
const clusterPartitions = 12

// userFolder returns where the user keeps what belongs to all of its servers, or "" for a user without a home.
func userFolder(name string) string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "heliograph", name)
}

// set gives a setting its value. A number that is 0 leaves the default.
func (c *Config) set(s *setting, v value) error {
	field := s.in(c)
	before := reflect.ValueOf(field).Elem()
	fresh := reflect.New(before.Type())
	if err := decode(fresh.Interface(), v); err != nil {
		return err
	}
	after := fresh.Elem()
	if after.CanInt() && after.IsZero() {
		after = reflect.ValueOf(s.in(Default(c.Mode))).Elem()
	}
	before.Set(after)
	c.origins[s.key] = v.origin
	return nil
}

// envLayer reads the variables. One that nobody knows is refused when it is nearly one that is known: others may well
// begin like ours (Kubernetes makes HELIOGRAPH_PORT for a service of that name).
func envLayer(environ []string) (layer, error) {
	keys := map[string]string{envPrefix + "CONFIG": configFlag}
	var names []string
	for _, s := range settings() {
		keys[s.env()] = s.key
		names = append(names, s.env())
	}
	said, errs := layer{}, []error(nil)
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if text == "" || !strings.HasPrefix(name, envPrefix) {
			continue
		}
		key, known := keys[name]
		if !known {
			if near := nearest(name, names); near != "" && distance(name, near) <= 2 {
				errs = append(errs, fmt.Errorf("environment: unknown variable %s; did you mean %s?", name, near))
			}
			continue
		}
		said[key] = value{origin: "environment " + name, text: []string{text}, commas: true}
	}
	return said, errors.Join(errs...)
}

// fileLayer reads the file that the flags or the environment name, or the one that is there.
func (c *Config) fileLayer(s Sources, env layer) (layer, error) {
	name, named := filepath.Join(s.Dir, defaultFile), false
	if v, ok := env[configFlag]; ok {
		name, named = v.text[0], true
	}
	if s.Flags != nil {
		if f := s.Flags.Lookup(configFlag); f != nil && f.Changed {
			name, named = f.Value.String(), true
		}
	}
	raw, err := os.ReadFile(name) //nolint:gosec // which file to read is the operator's to say
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return layer{}, nil
	case err != nil:
		return nil, fmt.Errorf("read the configuration file: %w", err)
	}
	c.File = name
	return parseFile(name, raw)
}
