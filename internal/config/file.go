package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseFile reads a configuration file. Scalars are taken as they are written, whatever YAML would make of them: the
// setting knows what it wants.
func parseFile(name string, raw []byte) (layer, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return layer{}, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one YAML document", name)
	}
	r := fileReader{name: filepath.Base(name), said: layer{}, keys: map[string]bool{}}
	for _, s := range settings() {
		r.keys[s.key] = true
		for at := strings.LastIndexByte(s.key, '.'); at > 0; at = strings.LastIndexByte(s.key[:at], '.') {
			r.keys[s.key[:at]] = false
		}
	}
	r.mapping(document.Content[0], "")
	return r.said, errors.Join(r.errs...)
}

// fileReader walks the YAML tree and remembers what stands where.
type fileReader struct {
	name string
	keys map[string]bool // true for a setting, false for a group
	said layer
	errs []error
}

func (r *fileReader) fail(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %w", r.name, at.Line, fmt.Errorf(format, args...)))
}

func (r *fileReader) mapping(node *yaml.Node, prefix string) {
	node = resolve(node)
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		r.fail(node, "%s holds settings: write each on a line of its own below it", orFile(prefix))
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		name, child := node.Content[i], node.Content[i+1]
		key := prefix + name.Value
		isSetting, known := r.keys[key]
		switch {
		case seen[key]:
			r.fail(name, "%s stands here twice", key)
		case !known:
			r.fail(name, "unknown key %s%s", key, suggestion(key, slices.Collect(maps.Keys(r.keys))))
		case isSetting:
			r.setting(key, child)
		default:
			r.mapping(child, key+".")
		}
		seen[key] = true
	}
}

func (r *fileReader) setting(key string, node *yaml.Node) {
	node = resolve(node)
	v := value{origin: fmt.Sprintf("%s:%d", r.name, node.Line)}
	switch {
	case isNull(node):
		return
	case node.Kind == yaml.ScalarNode:
		v.text = []string{node.Value}
	case node.Kind == yaml.MappingNode:
		r.fail(node, "%s is a single setting: nothing stands below it", key)
		return
	default:
		v.node = node
		for _, item := range node.Content {
			v.text = append(v.text, resolve(item).Value)
		}
	}
	r.said[key] = v
}

func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

func orFile(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return strings.TrimSuffix(prefix, ".")
}

func suggestion(word string, candidates []string) string {
	slices.Sort(candidates)
	if near := nearest(word, candidates); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
