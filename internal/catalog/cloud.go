package catalog

import (
	"bytes"
	"fmt"
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
	// Personal says that personal Microsoft accounts exist there (contract 20.8).
	Personal bool

	row string // what a row calls it
}

// Audiences returns the names of Graph as a resource in this cloud: tokens of another are not valid here (contract
// 8.1, 8.11).
func (c *Cloud) Audiences() []string { return []string{c.Graph, c.Graph + "/", graphID} }

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
	Name     string `yaml:"name"`
	Graph    string `yaml:"graph"`
	Login    string `yaml:"login"`
	Row      string `yaml:"row"`
	Personal bool   `yaml:"personal"`
}

func loadCloud(name string) (Cloud, error) {
	const file = "data/clouds.yaml"
	text, err := data.ReadFile(file)
	if err != nil {
		return Cloud{}, err
	}
	var s struct {
		Clouds []storedCloud `yaml:"clouds"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return Cloud{}, fmt.Errorf("%s: %w", file, err)
	}
	var known []string
	for _, c := range s.Clouds {
		if c.Name == name {
			return Cloud{Name: c.Name, Graph: c.Graph, Login: c.Login, Personal: c.Personal, row: c.Row}, nil
		}
		known = append(known, c.Name)
	}
	return Cloud{}, heliograph.Errorf(heliograph.Invalid, "config.cloud", "there is no cloud %q; there are: %s", name, strings.Join(known, ", "))
}
