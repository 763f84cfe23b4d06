package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
)

// decode reads v into field, a pointer to a setting.
func decode(field any, v value) (err error) {
	switch field := field.(type) {
	case *[]string:
		*field, err = list(v, func(s string) (string, error) { return s, nil })
	case *[]netip.Prefix:
		*field, err = list(v, parsePrefix)
	case *[]Drive:
		*field, err = list(v, fromText[Drive])
	case *[]Issuer:
		*field, err = list(v, fromText[Issuer])
	case *[]Quota:
		*field, err = list(v, fromText[Quota])
	case *[]Application:
		*field, err = objects(v, applicationWire.application)
	case *[]User:
		*field, err = objects(v, userWire.user)
	default:
		if v.node != nil {
			return errors.New("this is one value, not a list")
		}
		err = scalar(field, v.text[len(v.text)-1])
	}
	return err
}

func scalar(field any, s string) (err error) {
	switch field := field.(type) {
	case *string:
		*field = s
	case *heliograph.TenantID:
		*field = heliograph.TenantID(strings.ToLower(s))
	case *heliograph.Secret:
		*field = heliograph.NewSecret(s)
	case *bool:
		if *field, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
	case *int:
		if *field, err = strconv.Atoi(strings.ReplaceAll(s, "_", "")); err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
	case *time.Duration:
		if *field, err = time.ParseDuration(s); err != nil {
			return fmt.Errorf("%q is no duration: write a number with a unit, such as 90s or 24h", s)
		}
	case *slog.Level:
		if field.UnmarshalText([]byte(s)) != nil {
			return fmt.Errorf("%q is no level: write debug, info, warn or error", s)
		}
	case encoding.TextUnmarshaler:
		return field.UnmarshalText([]byte(s))
	default:
		return fmt.Errorf("a setting of type %T cannot be read", field)
	}
	return nil
}

// list reads a list of what is written as text: a YAML list, flags one after the other, or a variable with commas.
func list[T any](v value, read func(string) (T, error)) ([]T, error) {
	texts := v.text
	if v.commas {
		texts = strings.Split(texts[0], ",")
	}
	var items []T
	for i, text := range texts {
		if v.node != nil && resolve(v.node.Content[i]).Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("item %d is no text", i+1)
		}
		item, err := read(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func fromText[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](s string) (T, error) {
	var item T
	err := P(&item).UnmarshalText([]byte(s))
	return item, err
}

// objects reads a list of YAML objects; a variable holds it in YAML's one-line form or as JSON.
func objects[W, T any](v value, convert func(W) (T, error)) ([]T, error) {
	node := v.node
	if node == nil {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(v.text[0]), &document); err != nil || len(document.Content) == 0 {
			return nil, errors.New("this is no YAML list of objects") // without the text: it may hold secrets
		}
		node = document.Content[0]
	}
	if node.Kind != yaml.SequenceNode {
		return nil, errors.New("this is no list of objects")
	}
	var items []T
	for i, child := range node.Content {
		var wire W
		if err := strict(child, &wire); err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		item, err := convert(wire)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		items = append(items, item)
	}
	return items, nil
}

// strict decodes an object and refuses fields that it does not know. Its errors do not quote values.
func strict(node *yaml.Node, into any) error {
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		return errors.New("this is no object")
	}
	known := fieldNames(into)
	for i := 0; i < len(node.Content); i += 2 {
		if name := node.Content[i].Value; !slices.Contains(known, name) {
			return fmt.Errorf("unknown field %s%s", name, suggestion(name, known))
		}
	}
	if err := node.Decode(into); err != nil {
		return errors.New("a field holds another kind of value than it should")
	}
	return nil
}

// fieldNames returns the names of an object's fields.
func fieldNames(object any) []string {
	var names []string
	for t, i := reflect.TypeOf(object).Elem(), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		names = append(names, name)
	}
	return names
}
