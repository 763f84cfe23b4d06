package heliograph_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "heliograph.dev"

// layer is how far from the ground a package stands. Packages import lower layers, and of their own only what the table
// says.
type layer int

const (
	ground layer = iota // words and time
	pure                // rules: values in, verdicts out
	step                // of a change's way, or a subscription's: knows what it needs by its own small interfaces
	edge                // the engine, and what touches the world
	wiring              // knows all
	tool                // the command line
)

// room is where a package stands and which of ours it imports, by their names: the folder below internal, or
// heliograph for the root package.
type room struct {
	layer   layer
	imports string
}

// house knows every package. A new one must be entered; an import that is not here is a change of the architecture,
// which docs/adr/0002-layout-and-arrows.md is about.
func house() map[string]room {
	return map[string]room{
		"clock":      {ground, ""},
		"heliograph": {ground, ""},

		"access":              {pure, "heliograph lifecycle"},
		"batch":               {pure, "heliograph rawjson"},
		"catalog":             {pure, "heliograph lifecycle odata odata/edm odata/filter"},
		"content":             {pure, "heliograph catalog odata rawjson"},
		"deliveries":          {pure, "heliograph"},
		"docs/reference":      {pure, ""},
		"engine/archive":      {pure, ""},
		"engine/frame":        {pure, "heliograph"},
		"fixture":             {pure, "heliograph catalog odata"},
		"faults":              {pure, "heliograph"},
		"fresh":               {pure, ""},
		"health":              {pure, "heliograph"},
		"junit":               {pure, ""},
		"lifecycle":           {pure, "heliograph"},
		"match":               {pure, "heliograph catalog"},
		"objects":             {pure, "heliograph catalog odata odata/filter rawjson"},
		"odata":               {pure, ""},
		"odata/edm":           {pure, ""},
		"odata/filter":        {pure, "odata odata/edm"},
		"rawjson":             {pure, ""},
		"retry":               {pure, "heliograph"},
		"seal":                {pure, "heliograph seal/recent"},
		"seal/recent":         {pure, ""},
		"seal/xaes":           {pure, ""},
		"source/drive/settle": {pure, ""},
		"subscribe/record":    {pure, "heliograph"},
		"throttle":            {pure, "heliograph"},

		"deliver":   {step, "heliograph catalog clock health match rawjson retry"},
		"ingest":    {step, "heliograph"},
		"owner":     {step, "heliograph clock"},
		"subscribe": {step, "heliograph access catalog clock lifecycle odata seal subscribe/record"},

		"client":             {edge, "clock"},
		"cloudevents":        {edge, "heliograph rawjson"},
		"config":             {edge, "heliograph"},
		"doctor":             {edge, "heliograph junit outbound seal seal/token"},
		"engine":             {edge, "heliograph clock engine/archive engine/frame"},
		"httpapi":            {edge, "heliograph access batch clock cloudevents deliver deliveries docs/reference faults fixture fresh health lifecycle objects origin pulse rawjson subscribe"},
		"identity":           {edge, "heliograph"},
		"identity/devissuer": {edge, "heliograph origin"},
		"listen":             {edge, "heliograph receiver"},
		"localca":            {edge, ""},
		"origin":             {edge, ""},
		"outcome":            {edge, "client"},
		"outbound":           {edge, "heliograph clock"},
		"pages":              {edge, "heliograph origin"},
		"pulse":              {edge, "heliograph deliver health"},
		"receiver":           {edge, ""},
		"receiver/renew":     {edge, "client clock receiver"},
		"scenario":           {edge, "client junit outcome"},
		"seal/keyfile":       {edge, ""},
		"seal/token":         {edge, "heliograph clock seal/recent"},
		"seal/vault":         {edge, "heliograph seal/keyfile seal/xaes"},
		"signin":             {edge, "heliograph seal/xaes"},
		"source/drive":       {edge, "heliograph clock source/drive/settle"},
		"takeover":           {edge, ""},
		"trust":              {edge, ""},
		"telemetry":          {edge, "heliograph clock deliver health ingest"},
		"telemetry/trace":    {edge, "heliograph clock deliver ingest telemetry"},

		"app": {wiring, "heliograph catalog clock config content deliver deliveries engine faults fixture fresh health httpapi identity identity/devissuer ingest " +
			"localca match objects outbound owner pages pulse retry seal seal/keyfile seal/recent seal/token seal/vault signin source/drive subscribe telemetry telemetry/trace throttle"},

		"heliographtest": {tool, "app client config identity/devissuer outcome"},
		"cli":            {tool, "heliograph app client clock config doctor engine engine/archive listen localca outbound receiver scenario seal seal/vault takeover telemetry trust"},
		"cmd/heliograph": {tool, "cli"},
	}
}

// powers says which packages may import what reaches out of the process. A name with a slash at its end stands for all
// below it.
func powers() map[string]string {
	return map[string]string{
		"net/http":            "app client cloudevents doctor heliographtest httpapi identity identity/devissuer listen origin outbound pages receiver seal/token signin takeover telemetry telemetry/trace",
		"os":                  "app cli cmd/heliograph config engine identity/devissuer listen localca seal/keyfile source/drive takeover trust",
		"os/exec":             "takeover trust",
		"os/signal":           "cmd/heliograph",
		"github.com/nats-io/": "engine",
	}
}

// clocks may call time.Now; everybody else is told the time. The receiver's part is for programs of others.
const clocks = "clock app heliographtest receiver"

// TestArrows fails when a package imports what it should not, and when the table tells of what is not so.
func TestArrows(t *testing.T) {
	t.Parallel()
	rooms, found := house(), readHouse(t)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		at, ok := rooms[name]
		if !ok {
			t.Errorf("%s stands in no layer: enter it in house()", name)
			continue
		}
		allowed := strings.Fields(at.imports)
		for _, imported := range found[name].ours() {
			if !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s: declare the small interface that it needs instead, or change house() and ADR 2", name, imported)
			}
		}
		for _, imported := range allowed {
			switch {
			case !slices.Contains(found[name].ours(), imported):
				t.Errorf("house() says that %s imports %s: it does not", name, imported)
			case rooms[imported].layer > at.layer:
				t.Errorf("%s imports %s, which stands above it", name, imported)
			}
		}
	}
	for name := range rooms {
		if found[name] == nil {
			t.Errorf("house() knows %s, which is not there", name)
		}
	}
}

// TestPowers fails when a package reaches out of the process that has no business to.
func TestPowers(t *testing.T) {
	t.Parallel()
	found := readHouse(t)
	for power, holders := range powers() {
		used, mayUse := map[string]bool{}, strings.Fields(holders)
		for name, p := range found {
			for imported := range p.imports {
				if imported != power && (!strings.HasSuffix(power, "/") || !strings.HasPrefix(imported, power)) {
					continue
				}
				used[name] = true
				if !slices.Contains(mayUse, name) {
					t.Errorf("%s imports %s: leave that to %s, or enter it in powers()", name, imported, cmp.Or(holders, "others"))
				}
			}
		}
		for _, name := range mayUse {
			if !used[name] {
				t.Errorf("powers() says that %s uses %s: it does not", name, power)
			}
		}
	}
	for name, p := range found {
		if p.readsClock != "" && !slices.Contains(strings.Fields(clocks), name) {
			t.Errorf("%s calls time.Now: take the time as an argument, or a clock.Clock", p.readsClock)
		}
	}
}

// code is what a package's files, less its tests, import and do.
type code struct {
	imports    map[string]bool
	readsClock string // where, if anywhere
}

// ours lists the imported packages of this module.
func (c *code) ours() []string {
	var names []string
	for imported := range c.imports {
		if rest, ok := strings.CutPrefix(imported+"/", module+"/"); ok {
			names = append(names, nameOf(path.Clean(rest)))
		}
	}
	slices.Sort(names)
	return names
}

// nameOf returns the name of the package in a folder.
func nameOf(dir string) string {
	if dir == "." {
		return "heliograph"
	}
	return strings.TrimPrefix(dir, "internal/")
}

// readHouse reads the imports of every package of the module, for all platforms.
func readHouse(t *testing.T) map[string]*code {
	t.Helper()
	found := map[string]*code{}
	walkGo(t, func(name string) error {
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		pkg := nameOf(filepath.ToSlash(filepath.Dir(name)))
		if found[pkg] == nil {
			found[pkg] = &code{imports: map[string]bool{}}
		}
		return found[pkg].read(name)
	})
	return found
}

// walkGo visits every Go file of the module.
func walkGo(t *testing.T, visit func(name string) error) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".":
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return fs.SkipDir
			}
		case !d.IsDir() && strings.HasSuffix(name, ".go"):
			return visit(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *code) read(name string) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		c.imports[imported] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Now" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
				c.readsClock = fmt.Sprint(set.Position(s.Pos()))
			}
		}
		return true
	})
	return nil
}
