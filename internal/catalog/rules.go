package catalog

import (
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// shownRules is what WriteRules writes.
type shownRules struct {
	Cloud     shownCloud          `yaml:"cloud"`
	Quotas    map[string]string   `yaml:"quotas"`
	Resources map[string]shownRow `yaml:"resources"`
	Profile   *storedProfile      `yaml:"profile"`
}

type shownCloud struct {
	Name     string `yaml:"name"`
	Graph    string `yaml:"graph"`
	Login    string `yaml:"login"`
	Personal bool   `yaml:"personal_accounts"`
}

type shownRow struct {
	Changes string `yaml:"change_types"`
	Basic   int    `yaml:"minutes"`
	Rich    int    `yaml:"minutes_with_resource_data,omitempty"`
	Absent  bool   `yaml:"not_in_this_cloud,omitempty"`
}

// WriteRules writes the rules that hold, as YAML: the cloud, the limits of quotas, the resources' longest leases in minutes, and
// the profile with its texts.
func (c *Catalog) WriteRules(w io.Writer) error {
	shown := shownRules{
		Cloud:  shownCloud{c.cloud.Name, c.cloud.Graph, c.cloud.Login, c.cloud.Personal},
		Quotas: make(map[string]string), Resources: make(map[string]shownRow), Profile: c.profile.stored,
	}
	for _, q := range c.Quotas() {
		limit := "none"
		if n := c.Limit(&q); n > 0 {
			limit = strconv.Itoa(n)
		}
		shown.Quotas[q.Name()] = limit
	}
	for _, r := range c.rows {
		row := shownRow{Changes: r.ChangeTypes.String(), Basic: int(c.profile.MaxLifetime(r, false).Minutes()), Absent: !c.cloud.Has(r)}
		if r.Rich.Supported {
			row.Rich = int(c.profile.MaxLifetime(r, true).Minutes())
		}
		shown.Resources[r.ID] = row
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(shown); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	return e.Close()
}
