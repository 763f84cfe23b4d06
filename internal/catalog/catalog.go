// Package catalog knows what can be subscribed to. Everything that Microsoft changes from time to time is data
// here and not code: the rows of data/resources.yaml say which resources there are, who may subscribe to them,
// for how long, and how a change of an instance reaches a subscription and is named to it; the dated profiles
// of data/profiles hold the limits, time-outs and refusals.
//
// The data is checked when it is loaded: every template parses, every parameter is bound, no two rows compete
// for a path, every path is reached by some change. What passes needs no checking later.
//
// Two trees of templates answer the two questions. Resolve walks the tree of subscription paths with a resource
// as a client wrote it and gives its canonical path. Watchers walks the tree of change paths with a canonical
// path and gives the subscription paths that see the change; its cost depends on the path and on nothing else.
//
// A Catalog does not change after Load and may be used by any number at once.
package catalog

import (
	"embed"
	"errors"
	"fmt"
	"sync"
)

//go:embed data
var data embed.FS

// DefaultProfile is the profile that Load makes active.
const DefaultProfile = "2026-04"

// Catalog is the loaded data with one active profile.
type Catalog struct {
	*tables
	profile *Profile
	cloud   Cloud
	limits  map[string]int // what an operator says of quotas, by their names
}

// tables are what does not depend on the profile.
type tables struct {
	rows     []*Row
	byID     map[string]*Row
	params   map[string]paramForm
	paths    node            // what a subscription's resource may be
	changes  node            // what a change's path may be
	refused  node            // what looks like a subscription's resource and is none
	filters  map[string]bool // collections, in lower case, whose keys may stand in a $filter
	watchers sync.Pool       // of *Watcher
}

// File is an operator's file of resources.
type File struct {
	Name string // for error messages
	Data []byte
}

// Load reads the embedded rows and the default profile, and then the operator's files in the same form, whose
// rows are added or replace the row of the same id. Its error names the file, the row and the field of every
// mistake.
//
// A catalog is never changed, so whoever in a process asks for the embedded rows alone gets the same.
func Load(extra ...File) (*Catalog, error) {
	if len(extra) == 0 {
		return embedded()
	}
	return load(extra)
}

var embedded = sync.OnceValues(func() (*Catalog, error) { return load(nil) }) //nolint:gochecknoglobals // read once for a process: it takes longer than the rest of a server's start

func load(extra []File) (*Catalog, error) {
	const name = "data/resources.yaml"
	own, err := data.ReadFile(name)
	if err != nil {
		return nil, err
	}
	profile, err := loadProfile(DefaultProfile)
	if err != nil {
		return nil, err
	}
	c := &Catalog{profile: profile}
	if c.cloud, err = loadCloud(DefaultCloud); err != nil {
		return nil, err
	}
	b := newBuilder(c)
	for _, f := range append([]File{{Name: name, Data: own}}, extra...) {
		b.read(f)
	}
	b.build()
	if err := b.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Rows returns every row in the order of the files.
func (c *Catalog) Rows() []*Row { return c.rows }

// Row returns the row of that id, or nil.
func (c *Catalog) Row(id string) *Row { return c.byID[id] }

// Profile returns the active profile.
func (c *Catalog) Profile() *Profile { return c.profile }

// WithProfile returns the same rows with another active profile. The empty name is the default's.
func (c *Catalog) WithProfile(name string) (*Catalog, error) {
	if name == "" || name == c.profile.Name {
		return c, nil
	}
	p, err := loadProfile(name)
	if err != nil {
		return nil, err
	}
	other := *c
	other.profile = p
	return &other, nil
}

// mistakes bounds how many are told at once.
const mistakes = 20

// problems collects what is wrong with data files.
type problems struct {
	list []error
}

func (p *problems) add(file, row, field string, format string, args ...any) {
	where := file
	if row != "" {
		where += ": row " + row
	}
	if field != "" {
		where += ": " + field
	}
	p.list = append(p.list, fmt.Errorf("%s: %w", where, fmt.Errorf(format, args...)))
}

func (p *problems) err() error {
	if len(p.list) > mistakes {
		return errors.Join(append(p.list[:mistakes:mistakes], fmt.Errorf("and %d more", len(p.list)-mistakes))...)
	}
	return errors.Join(p.list...)
}
