// Command size prints the longest files, functions and packages of the modules below a folder, so that growth is seen.
//
//	go -C tools run ./size ..
package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// shown is how many of each are printed.
const shown = 10

// entry is something with a length.
type entry struct {
	name  string
	lines int
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	var files, functions []entry
	packages := map[string]int{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		lines := set.Position(file.End()).Line
		files = append(files, entry{name, lines})
		packages[filepath.Dir(name)] += lines
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				length := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1
				functions = append(functions, entry{name + " " + f.Name.Name, length})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var all []entry
	for name, lines := range packages {
		all = append(all, entry{name, lines})
	}
	show("files", files)
	show("functions", functions)
	show("packages", all)
	return nil
}

func show(title string, entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.lines, a.lines), cmp.Compare(a.name, b.name))
	})
	fmt.Printf("%d %s, median %d lines; the longest:\n", len(entries), title, entries[len(entries)/2].lines)
	for _, e := range entries[:min(shown, len(entries))] {
		fmt.Printf("%6d  %s\n", e.lines, e.name)
	}
}
