package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
)

// builder turns files into tables and collects every mistake on the way.
type builder struct {
	problems
	c      *Catalog
	stored []source // in order
	at     map[string]int
	quotas map[string]Quota // by name
}

// source is a stored row and where it came from.
type source struct {
	file string
	row  *storedRow
}

func newBuilder(c *Catalog) *builder {
	c.tables = &tables{byID: map[string]*Row{}, params: map[string]paramForm{}, filters: map[string]bool{}}
	c.watchers.New = func() any { return new(Watcher) }
	return &builder{c: c, at: map[string]int{}, quotas: map[string]Quota{}}
}

// read parses one file. Its rows replace those of the same id from the files before it.
func (b *builder) read(f File) {
	var file storedFile
	d := yaml.NewDecoder(bytes.NewReader(f.Data))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		b.add(f.Name, "", "", "%w", err)
		return
	}
	for name, p := range file.Parameters {
		form, err := newParamForm(&p)
		if err != nil {
			b.add(f.Name, "", "parameters: "+name, "%w", err)
		}
		b.c.params[name] = form
	}
	here := map[string]bool{}
	b.refused(f.Name, file.NotSubscribable)
	for i := range file.Resources {
		r := &file.Resources[i]
		switch {
		case r.ID == "":
			b.add(f.Name, fmt.Sprintf("number %d", i+1), "id", "missing")
			continue
		case here[r.ID]:
			b.add(f.Name, r.ID, "id", "twice in one file")
			continue
		}
		here[r.ID] = true
		if at, ok := b.at[r.ID]; ok {
			b.stored[at] = source{f.Name, r}
			continue
		}
		b.at[r.ID] = len(b.stored)
		b.stored = append(b.stored, source{f.Name, r})
	}
}

func newParamForm(p *storedParameter) (paramForm, error) {
	f := paramForm{user: p.Form == "user", url: p.Form == "url"}
	if p.Form != "" && !f.user && !f.url {
		return f, fmt.Errorf("form %q is not known: user or url", p.Form)
	}
	for _, name := range p.WellKnown {
		if f.wellKnown == nil {
			f.wellKnown = map[string]bool{}
		}
		f.wellKnown[strings.ToLower(name)] = true
	}
	return f, nil
}

func (b *builder) build() {
	for _, s := range b.stored {
		rb := &rowBuilder{builder: b, file: s.file, stored: s.row}
		row := rb.build()
		b.c.rows = append(b.c.rows, row)
		b.c.byID[row.ID] = row
	}
	for i, row := range b.c.rows {
		rb := &rowBuilder{builder: b, file: b.stored[i].file, stored: b.stored[i].row, row: row}
		rb.alone()
	}
}

// rowBuilder turns one stored row into a Row.
type rowBuilder struct {
	*builder
	file   string
	stored *storedRow
	row    *Row
}

func (b *rowBuilder) fail(field, format string, args ...any) {
	b.add(b.file, b.stored.ID, field, format, args...)
}

func (b *rowBuilder) build() *Row {
	s := b.stored
	b.row = &Row{
		ID: s.ID, Family: s.Family, Workload: s.Workload, Scope: s.Scope, Status: s.Status,
		APIVersions: s.APIVersions, Aliases: s.PathAliases, MaxIDs: s.MaxIDs,
		MaxBasic: minutes(s.MaxExpiration.Basic), MaxRich: minutes(s.MaxExpiration.Rich),
		LifecycleURLOver: minutes(s.LifecycleURL.RequiredOver),
		Rich:             Rich{Supported: s.Rich.Supported, Only: s.Rich.Only, Endpoints: s.Rich.Endpoints, Content: contentOf(s.Rich.Content)},
		Duplicates:       s.Duplicates, DelegatedOwnOnly: s.DelegatedOwn, UserSpecific: s.UserSpecific,
		Billing: Billing{Models: s.BillingModels, Default: s.BillingDefault, Now: s.BillingNow},
		Clouds:  s.Clouds, Latency: Latency(s.Latency), ODataType: s.ODataType, Example: s.Example,
		Notes: s.Notes, Sources: s.Sources,
		catalog: b.c, single: map[string]*template{}, byPath: map[string]pathRule{},
	}
	if b.row.Family == "" {
		b.row.Family = s.ID
	}
	b.facts()
	b.permissions()
	b.special()
	b.paths()
	b.pathRules()
	b.changes()
	return b.row
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

// facts checks what stands for itself.
func (b *rowBuilder) facts() {
	s := b.stored
	b.row.ChangeTypes = b.types("change_types", s.ChangeTypes)
	if b.row.ChangeTypes == 0 {
		b.fail("change_types", "none")
	}
	if s.MaxExpiration.Basic <= 0 {
		b.fail("max_expiration_minutes: basic", "missing")
	}
	if s.Rich.Supported != (s.MaxExpiration.Rich > 0) {
		b.fail("max_expiration_minutes: rich", "is there exactly when include_resource_data is supported")
	}
	b.oneOf("status", s.Status, "", "current", "deprecated")
	for _, v := range slices.Concat(s.APIVersions, s.Rich.Endpoints) {
		b.oneOf("api_versions", v, "v1.0", "beta")
	}
	for _, v := range s.BillingModels {
		b.oneOf("billing_models", v, "A", "B")
	}
	for _, cloud := range slices.Sorted(maps.Keys(s.Clouds)) {
		b.oneOf("national_clouds", cloud, "global", "us_l4", "us_l5", "china")
		b.oneOf("national_clouds: "+cloud, s.Clouds[cloud], "yes", "no", "api-level", "unspecified")
	}
	for _, word := range s.Lifecycle {
		event, ok := heliograph.ParseLifecycleEvent(word)
		if !ok {
			b.fail("lifecycle_events", "%q is not known", word)
			continue
		}
		b.row.LifecycleEvents = append(b.row.LifecycleEvents, event)
	}
	b.extras()
	b.options()
	b.readQuotas()
}

func (b *rowBuilder) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		b.fail(field, "%q is not one of %s", value, strings.Join(allowed, " "))
	}
}

func (b *rowBuilder) types(field string, words []string) heliograph.ChangeType {
	if len(words) == 0 {
		return 0
	}
	t, ok := heliograph.ParseChangeType(strings.Join(words, ","))
	if !ok {
		b.fail(field, "%q: created, updated and deleted are known", words)
	}
	return t
}

func (b *rowBuilder) readQuotas() {
	for i, q := range b.stored.Quotas {
		field := fmt.Sprintf("quotas[%d]", i)
		quota := Quota(q)
		if quota.Pool == "" {
			quota.Pool = b.row.ID
		}
		if quota.Rule == "" {
			quota.Rule = "create.quota"
		}
		if !b.c.profile.Knows(quota.Rule) {
			b.fail(field+": rule", "the profile has no rule %q", quota.Rule)
		}
		if quota.Limit < 0 {
			b.fail(field+": limit", "%d", quota.Limit)
		}
		b.row.Quotas = append(b.row.Quotas, quota)
		if other, ok := b.quotas[quota.Name()]; ok && (other.Limit != quota.Limit || other.Rule != quota.Rule) {
			b.fail(field, "%s is another quota in another row", quota.Name())
		}
		b.quotas[quota.Name()] = quota
	}
}

func (b *rowBuilder) permissions() {
	s := b.stored
	rsc := slices.Concat(s.Permissions.ApplicationRSC, s.Concept.RSC)
	if len(s.Permissions.RSC) > 0 || len(s.Newest.RSC) > 0 {
		b.fail("permissions", "rsc belongs to permissions_extra_concept_pages")
	}
	some := false
	for kind := range callerKinds {
		base, newest, concept := s.Permissions.of(kind), s.Newest.of(kind), s.Concept.of(kind)
		g := grants{union: merge(base, newest, concept), newest: base}
		if newest != nil {
			g.newest = newest
		}
		if kind == application {
			g.rsc = rsc
		}
		b.row.permissions[kind] = g
		some = some || len(g.union) > 0
	}
	if !some {
		b.fail("permissions", "nobody could ever subscribe")
	}
	for _, p := range rsc {
		if !slices.Contains(b.row.permissions[application].union, p) {
			b.fail("permissions: application_rsc", "%s is not an application permission of the row", p)
		}
	}
}

func (p *storedPermissions) of(kind callerKind) []string {
	return [...][]string{p.DelegatedWork, p.DelegatedPersonal, p.Application}[kind]
}

// merge returns what is in any of the lists, in their order.
func merge(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		for _, p := range list {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}
