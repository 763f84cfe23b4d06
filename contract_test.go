package heliograph_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

//go:generate go test -run ^TestContract$ . -update

var update = flag.Bool("update", false, "write docs/reference/contract.md")

const (
	contractData = "docs/reference/contract.yaml"
	contractPage = "docs/reference/contract.md"
	profileData  = "internal/catalog/data/profiles/2026-04.yaml"
)

// contractFacts is how many facts there are: none gets lost between two editions of the data.
const contractFacts = 357

// section is a chapter of Graph's contract.
type section struct {
	Title string
	Facts []fact
}

// fact is one statement about Graph, and what Heliograph makes of it. A fact without a reason is implemented, which a
// test has to prove.
type fact struct {
	ID    string `yaml:"fact"`
	Says  string
	Note  string // beside a fact that is implemented: how, or what was chosen where Graph is silent
	Other string `yaml:"decided"`        // why Heliograph does otherwise
	None  string `yaml:"not_applicable"` // why there is nothing to do
	Later string `yaml:"planned"`        // what is missing, and the issue that it belongs to
}

// verdict returns what became of a fact, and why.
func (f *fact) verdict() (verdict, reason string) {
	switch {
	case f.Other != "":
		return "decided otherwise", f.Other
	case f.None != "":
		return "not applicable", f.None
	case f.Later != "":
		return "planned", f.Later
	}
	return "implemented", f.Note
}

// TestContract: each fact of Graph's contract is proved by a test or has a reason, the tests name facts that there are,
// and the page that tells so is current.
func TestContract(t *testing.T) {
	t.Parallel()
	sections := readContract(t)
	order := map[string]int{}
	var ids []string
	for _, s := range sections {
		for _, f := range s.Facts {
			if _, twice := order[f.ID]; twice {
				t.Errorf("%s has fact %s twice", contractData, f.ID)
			}
			order[f.ID] = len(ids)
			ids = append(ids, f.ID)
			if reasons := len(slices.DeleteFunc([]string{f.Other, f.None, f.Later}, func(r string) bool { return r == "" })); f.Says == "" || reasons > 1 {
				t.Errorf("%s: fact %s says nothing, or has several reasons", contractData, f.ID)
			}
		}
	}
	if len(ids) != contractFacts {
		t.Errorf("%s has %d facts, want %d", contractData, len(ids), contractFacts)
	}
	proofs := readProofs(t, ids, order)
	for _, s := range sections {
		for _, f := range s.Facts {
			if verdict, _ := f.verdict(); verdict == "implemented" && len(proofs[f.ID]) == 0 {
				t.Errorf("no test names contract %s (%s)", f.ID, f.Says)
			}
		}
	}
	want := contractMarkdown(sections, proofs, readRules(t, order))
	if *update {
		if err := os.WriteFile(contractPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(contractPage); err != nil || string(have) != want {
		t.Errorf("%s is not what %s and the tests say (%v): run go generate .", contractPage, contractData, err)
	}
}

func readContract(t *testing.T) []section {
	t.Helper()
	file, err := os.Open(contractData)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var sections []section
	d := yaml.NewDecoder(file)
	d.KnownFields(true)
	if err := d.Decode(&sections); err != nil {
		t.Fatal(err)
	}
	return sections
}

// readRules returns the rules whose refusals rest on a fact, as a caller sees them in the header Heliograph-Rule.
func readRules(t *testing.T, order map[string]int) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(profileData)
	if err != nil {
		t.Fatal(err)
	}
	var profile struct {
		Refusals map[string]struct{ Fact, Basis string }
	}
	if err := yaml.Unmarshal(text, &profile); err != nil {
		t.Fatal(err)
	}
	rules := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(profile.Refusals)) {
		r := profile.Refusals[name]
		if _, ok := order[r.Fact]; !ok {
			t.Errorf("%s: rule %s rests on contract %s, which there is not", profileData, name, r.Fact)
		}
		rules[r.Fact] = append(rules[r.Fact], "`"+name+"` ("+r.Basis+")")
	}
	return rules
}

// proof is a test that names a fact.
type proof struct{ name, file string }

// Comments and texts name facts in these forms; "to" names all that stand between, and 12.4 all that begin with it.
var (
	namedFacts = regexp.MustCompile(`\bcontract (\d+\.\d+[\d.]*[a-z]?(?:(?:, ?| and | to | ?- ?)\d+\.\d+[\d.]*[a-z]?)*)`)
	factNumber = regexp.MustCompile(`( to | ?- ?)?(\d+(?:\.\d+)+[a-z]?)`)
)

// readProofs finds the comments and texts that name facts ("contract 4.6, 4.8 and 11.2 to 11.9") in the test files of
// every package, and the tests that they belong to: the one that they stand on or in, or those that use what they stand
// in.
func readProofs(t *testing.T, ids []string, order map[string]int) map[string][]proof {
	t.Helper()
	packages := map[string]*testPackage{}
	walkGo(t, func(name string) error {
		if !strings.HasSuffix(name, "_test.go") || name == "contract_test.go" {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		key := filepath.Dir(name) + " " + file.Name.Name
		if packages[key] == nil {
			packages[key] = &testPackage{used: map[string]map[string]bool{}, tests: map[string]string{}}
		}
		packages[key].read(file, filepath.ToSlash(name))
		return nil
	})
	proofs := map[string][]proof{}
	for _, key := range slices.Sorted(maps.Keys(packages)) {
		p := packages[key]
		for _, c := range p.comments {
			tests := p.testsOf(c.owner)
			if len(tests) == 0 {
				t.Errorf("%s: %q is in no test", c.file, c.text)
			}
			for _, id := range expandFacts(c.text, ids, order) {
				if _, ok := order[id]; !ok {
					t.Errorf("%s names contract %s, which there is not", c.file, id)
					continue
				}
				proofs[id] = append(proofs[id], tests...)
			}
		}
	}
	for id, all := range proofs {
		slices.SortFunc(all, func(a, b proof) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.name, b.name)) })
		proofs[id] = slices.Compact(all)
	}
	return proofs
}

// expandFacts returns the facts that a list names, each of a range.
func expandFacts(list string, ids []string, order map[string]int) []string {
	var named []string
	for _, m := range factNumber.FindAllStringSubmatch(list, -1) {
		if from := len(named); m[1] != "" && from > 0 {
			named = append(named, ids[order[named[from-1]]+1:max(order[m[2]], order[named[from-1]]+1)]...)
		}
		below := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !strings.HasPrefix(id, m[2]+".") })
		if len(below) == 0 {
			below = []string{m[2]}
		}
		named = append(named, below...)
	}
	return named
}

// testPackage is the tests of a package.
type testPackage struct {
	used     map[string]map[string]bool // the package's declarations that each declaration uses, and some other names
	tests    map[string]string          // their files
	comments []factComment
}

// factComment is a comment that names facts, and the declaration that it stands on or in.
type factComment struct{ owner, text, file string }

func (p *testPackage) read(file *ast.File, name string) {
	note := func(at token.Pos, text string) {
		for _, m := range namedFacts.FindAllStringSubmatch(strings.Join(strings.Fields(text), " "), -1) {
			p.comments = append(p.comments, factComment{ownerOf(file, at), m[1], name})
		}
	}
	for _, group := range file.Comments {
		note(group.Pos(), group.Text())
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
			note(text.Pos(), text.Value)
		}
		return true
	})
	for _, decl := range file.Decls {
		for _, owner := range namesOf(decl) {
			if p.used[owner] == nil {
				p.used[owner] = map[string]bool{}
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					p.used[owner][id.Name] = true
				}
				return true
			})
		}
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && isTest(f.Name.Name) {
			p.tests[f.Name.Name] = name
		}
	}
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Example")
}

// namesOf returns what a declaration declares.
func namesOf(decl ast.Decl) []string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return []string{d.Name.Name}
	case *ast.GenDecl:
		var names []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			}
		}
		return names
	}
	return nil
}

// ownerOf returns the declaration that a position is in, or on the comment of.
func ownerOf(file *ast.File, at token.Pos) string {
	for _, decl := range file.Decls {
		from, to := decl.Pos(), decl.End()
		if f, ok := decl.(*ast.FuncDecl); ok && f.Doc != nil {
			from = f.Doc.Pos()
		}
		if g, ok := decl.(*ast.GenDecl); ok && g.Doc != nil {
			from = g.Doc.Pos()
		}
		if names := namesOf(decl); len(names) > 0 && from <= at && at < to {
			return names[0]
		}
	}
	return ""
}

// testsOf returns the tests that are or use a declaration.
func (p *testPackage) testsOf(owner string) []proof {
	reached, todo := map[string]bool{owner: true}, []string{owner}
	var found []proof
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if file, ok := p.tests[name]; ok {
			found = append(found, proof{name, file})
			continue
		}
		for user, names := range p.used {
			if names[name] && !reached[user] {
				reached[user] = true
				todo = append(todo, user)
			}
		}
	}
	return found
}

func contractMarkdown(sections []section, proofs map[string][]proof, rules map[string][]string) string {
	counts := map[string]int{}
	proved := 0
	for _, s := range sections {
		for _, f := range s.Facts {
			verdict, _ := f.verdict()
			counts[verdict]++
			if len(proofs[f.ID]) > 0 {
				proved++
			}
		}
	}
	var b strings.Builder
	b.WriteString("<!-- Made from contract.yaml and the tests by go generate. Do not edit. -->\n\n# Graph's contract, fact by fact\n\n" +
		"What is known of how Microsoft Graph's change notifications behave, numbered as comments in the code name it\n" +
		"(\"contract 5.20\"), with what Heliograph makes of it and the tests that prove it. A rule's name is what a refusal\n" +
		"carries in the header `Heliograph-Rule`; behind it stands whether its words are **documented**, **observed** at the\n" +
		"real service, or **chosen** because no words of Graph's are known.\n\n")
	fmt.Fprintf(&b, "%d facts: %d implemented, %d decided otherwise, %d not applicable, %d planned. Tests name %d of them.\n",
		contractFacts, counts["implemented"], counts["decided otherwise"], counts["not applicable"], counts["planned"], proved)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| fact | what Graph does | here | tests |\n|---|---|---|---|\n", s.Title)
		for i := range s.Facts {
			f := &s.Facts[i]
			verdict, reason := f.verdict()
			here := "**" + verdict + "**"
			if reason != "" {
				here += ": " + reason
			}
			if len(rules[f.ID]) > 0 {
				here += "; " + strings.Join(rules[f.ID], ", ")
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.ID, cell(f.Says), cell(here), proofLinks(proofs[f.ID]))
		}
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "|", `\|`) }

func proofLinks(proofs []proof) string {
	links := make([]string, len(proofs))
	for i, p := range proofs {
		links[i] = fmt.Sprintf("[%s.%s](../../%s)", nameOf(filepath.ToSlash(filepath.Dir(p.file))), p.name, p.file)
	}
	return strings.Join(links, ", ")
}
