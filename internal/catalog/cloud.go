package catalog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
)

// DefaultCloud is the cloud that Load plays.
const DefaultCloud = "global"

// graphID is Graph's application id, an audience in every cloud (contract 8.1).
const graphID = "00000003-0000-0000-c000-000000000000"

// Cloud is one of Microsoft's clouds (contract section 20).
type Cloud struct {
	Name  string
	Graph string // root of the Graph API
	Login string // root of the identity platform
	V1    string // root of the issuers of v1 tokens
	// LoginHosts are the names of the identity platform's hosts: Login's, and then what caches prefer.
	LoginHosts []string
	// Personal says that personal Microsoft accounts exist there (contract 20.8).
	Personal bool

	row string // what a row calls it
}

// Audiences returns the names of Graph as a resource in this cloud: tokens of another are not valid here (contract
// 8.1, 8.11).
func (c *Cloud) Audiences() []string { return []string{c.Graph, c.Graph + "/", graphID} }

// Hosts returns the names of every host that an application of this cloud calls: Graph's and the identity platform's.
func (c *Cloud) Hosts() []string {
	hosts := append([]string{strings.TrimPrefix(c.Graph, "https://")}, c.LoginHosts...)
	if v1 := strings.TrimPrefix(c.V1, "https://"); !slices.Contains(hosts, v1) {
		hosts = append(hosts, v1)
	}
	return hosts
}

// Hosts returns the names of every host of every cloud.
func Hosts() ([]string, error) {
	stored, err := readClouds()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, s := range stored {
		c := s.cloud()
		all = append(all, c.Hosts()...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Has reports whether a row is there in this cloud: unless it is documented as absent.
func (c *Cloud) Has(r *Row) bool { return r.Clouds[c.row] != "no" }

// Cloud returns the cloud that is played.
func (c *Catalog) Cloud() *Cloud { return &c.cloud }

// WithCloud returns the same rows in another cloud. The empty name is the default's.
func (c *Catalog) WithCloud(name string) (*Catalog, error) {
	if name == "" {
		name = DefaultCloud
	}
	cloud, err := loadCloud(name)
	if err != nil {
		return nil, err
	}
	other := *c
	other.cloud = cloud
	return &other, nil
}

// storedCloud is a cloud in data/clouds.yaml.
type storedCloud struct {
	Name     string   `yaml:"name"`
	Graph    string   `yaml:"graph"`
	Login    string   `yaml:"login"`
	Names    []string `yaml:"names"`
	V1       string   `yaml:"v1"`
	Row      string   `yaml:"row"`
	Personal bool     `yaml:"personal"`
}

func (s *storedCloud) cloud() Cloud {
	return Cloud{
		Name: s.Name, Graph: s.Graph, Login: s.Login, V1: s.V1, Personal: s.Personal, row: s.Row,
		LoginHosts: append([]string{strings.TrimPrefix(s.Login, "https://")}, s.Names...),
	}
}

func readClouds() ([]storedCloud, error) {
	const file = "data/clouds.yaml"
	text, err := data.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var s struct {
		Clouds []storedCloud `yaml:"clouds"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s.Clouds, nil
}

func loadCloud(name string) (Cloud, error) {
	stored, err := readClouds()
	if err != nil {
		return Cloud{}, err
	}
	var known []string
	for _, c := range stored {
		if c.Name == name {
			return c.cloud(), nil
		}
		known = append(known, c.Name)
	}
	return Cloud{}, heliograph.Errorf(heliograph.Invalid, "config.cloud", "there is no cloud %q; there are: %s", name, strings.Join(known, ", "))
}
