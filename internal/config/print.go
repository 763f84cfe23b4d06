package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
)

// Origin tells where a setting's value came from: default, a line of the file, a variable or a flag.
func (c *Config) Origin(key string) string {
	if origin, ok := c.origins[key]; ok {
		return origin
	}
	return "default"
}

// Print writes the effective configuration in the form of heliograph.yaml, each value with its origin behind it
// and secrets masked.
func (c *Config) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	groups := map[string]*yaml.Node{"": root}
	for _, s := range settings() {
		group, name := "", s.key
		if at := strings.LastIndexByte(s.key, '.'); at >= 0 {
			group, name = s.key[:at], s.key[at+1:]
		}
		into, ok := groups[group]
		if !ok {
			into = &yaml.Node{Kind: yaml.MappingNode}
			groups[group] = into
			root.Content = append(root.Content, text(group), into)
		}
		key, node := text(name), encode(s.in(c))
		if node.Kind == yaml.ScalarNode || len(node.Content) == 0 {
			node.LineComment = "# " + c.Origin(s.key)
		} else {
			key.HeadComment = "# " + c.Origin(s.key)
		}
		into.Content = append(into.Content, key, node)
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return encoder.Close()
}

// encode turns a setting into YAML.
func encode(field any) *yaml.Node {
	switch field := field.(type) {
	case *[]string:
		return sequence(*field, text)
	case *[]netip.Prefix:
		return sequence(*field, stringer[netip.Prefix])
	case *[]Drive:
		return sequence(*field, stringer[Drive])
	case *[]Issuer:
		return sequence(*field, stringer[Issuer])
	case *[]Quota:
		return sequence(*field, stringer[Quota])
	case *[]Application:
		return sequence(*field, showApplication)
	case *[]User:
		return sequence(*field, showUser)
	case *bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(*field)}
	case *int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(*field)}
	case *Share:
		value := field.String()
		if !strings.ContainsAny(value, ".e") {
			value += ".0" // or it would be read as another type
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: value}
	}
	return text(scalarText(field))
}

// scalarText returns a scalar as the sources write it.
func scalarText(field any) string {
	switch field := field.(type) {
	case *string:
		return *field
	case *heliograph.TenantID:
		return string(*field)
	case *heliograph.Secret:
		return masked(*field)
	case *time.Duration:
		return shortDuration(*field)
	case *slog.Level:
		return levelName(*field)
	case *Share:
		return field.String()
	case *bool:
		return fmt.Sprint(*field)
	case *int:
		return fmt.Sprint(*field)
	}
	return fmt.Sprint(field)
}

func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

func stringer[T fmt.Stringer](v T) *yaml.Node { return text(v.String()) }

func sequence[T any](items []T, one func(T) *yaml.Node) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if len(items) == 0 {
		node.Style = yaml.FlowStyle
	}
	for _, item := range items {
		node.Content = append(node.Content, one(item))
	}
	return node
}

// shortDuration writes 24h for 24h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }
