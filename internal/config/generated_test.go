package config_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"heliograph.dev/internal/config"
)

var update = flag.Bool("update", false, "write the files that are made from config.go")

// TestGenerated fails when config.go has changed and what is made from its comments has not.
func TestGenerated(t *testing.T) {
	t.Parallel()
	comments, groups := readComments(t)
	for name, want := range map[string]string{
		"help_gen.go":                    helpSource(t, comments),
		"../../docs/reference/config.md": reference(comments, groups),
	} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(name); err != nil || string(have) != want {
			t.Errorf("%s is not what config.go says (%v): run go generate ./internal/config", name, err)
		}
	}
}

// readComments returns the comment of each setting by its key, and that of each group.
func readComments(t *testing.T) (settings, groups map[string]string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	structs, docs := map[string]*ast.StructType{}, map[string]string{}
	for _, decl := range file.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.TYPE {
			spec, _ := d.Specs[0].(*ast.TypeSpec)
			if s, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name], docs[spec.Name.Name] = s, oneLine(d.Doc)
			}
		}
	}
	settings, groups = map[string]string{}, map[string]string{}
	var walk func(name, prefix string)
	walk = func(name, prefix string) {
		for _, f := range structs[name].Fields.List {
			key, ok := keyOf(f)
			if !ok {
				continue
			}
			typeName, _ := f.Type.(*ast.Ident)
			if typeName != nil && structs[typeName.Name] != nil {
				groups[key] = strings.TrimPrefix(docs[typeName.Name], typeName.Name+" ")
				walk(typeName.Name, key+".")
				continue
			}
			settings[prefix+key] = oneLine(f.Doc)
		}
	}
	walk("Config", "")
	return settings, groups
}

func keyOf(f *ast.Field) (string, bool) {
	if f.Tag == nil {
		return "", false
	}
	key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("key")
	return key, key != "-"
}

func oneLine(doc *ast.CommentGroup) string {
	return strings.Join(strings.Fields(doc.Text()), " ")
}

func helpSource(t *testing.T, comments map[string]string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("// Code generated from config.go by go generate; DO NOT EDIT.\n\npackage config\n\n" +
		"// help returns a setting's help text.\nfunc help(key string) string {\nswitch key {\n")
	for _, s := range config.Settings() {
		first, _, _ := strings.Cut(comments[s.Key], ". ")
		fmt.Fprintf(&b, "case %q:\nreturn %q\n", s.Key, lowered(strings.TrimSuffix(first, ".")))
	}
	b.WriteString("}\nreturn \"\"\n}\n")
	source, err := format.Source([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// lowered begins a help text as the other flags' do.
func lowered(s string) string {
	if word, _, _ := strings.Cut(s, " "); word == strings.ToUpper(word) {
		return s // YAML
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func reference(comments, groups map[string]string) string {
	var b strings.Builder
	b.WriteString(`<!-- Made from internal/config/config.go by go generate. Do not edit. -->

# Configuration

` + "`heliograph dev` and `heliograph serve` read flags over the environment over `heliograph.yaml` over defaults. The file\n" +
		"is the one of the working directory, or the one that `--config` or `HELIOGRAPH_CONFIG` names. `heliograph config`\n" +
		"prints what holds in the end, and where each value came from.\n\n" +
		"- A key's place in the file is its name: `listen.http` is `http` below `listen`. A key that is not known is refused.\n" +
		"- A key's variable is its name in capitals: `listen.http` is `HELIOGRAPH_LISTEN_HTTP`. Lists have commas in between;\n" +
		"  lists of objects are written as JSON or one-line YAML.\n" +
		"- Flags of lists are given once for each item.\n" +
		"- A number that is left out or 0 takes its default.\n" +
		"- Sizes are numbers with a unit (`256KiB`, `900kB`), durations too (`90s`, `24h`). Paths are relative to the working\n" +
		"  directory.\n")
	group := "-"
	for _, s := range config.Settings() {
		in, _, nested := strings.Cut(s.Key, ".")
		if !nested {
			in = ""
		}
		if in != group {
			group = in
			title := "The server"
			if in != "" {
				title = "`" + in + "`"
			}
			fmt.Fprintf(&b, "\n## %s\n\n", title)
			if doc := groups[in]; doc != "" {
				fmt.Fprintf(&b, "`%s` %s\n\n", in, doc)
			}
			b.WriteString("| key | flag | shape | default | |\n|---|---|---|---|---|\n")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Key, flagCell(s), shapeCell(s), defaultCell(s), comments[s.Key])
	}
	return b.String()
}

func flagCell(s config.Setting) string {
	if s.Flag == "" {
		return "none"
	}
	return "`--" + s.Flag + "`"
}

func shapeCell(s config.Setting) string {
	if s.Shape == "" {
		return "list of objects"
	}
	return s.Shape
}

func defaultCell(s config.Setting) string {
	switch {
	case s.Dev == s.Serve && s.Dev == "":
		return "none"
	case s.Dev == s.Serve:
		return "`" + s.Dev + "`"
	}
	return fmt.Sprintf("`%s`, dev `%s`", s.Serve, s.Dev)
}
