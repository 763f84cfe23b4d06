package config

import (
	"reflect"
	"slices"
	"strings"

	"heliograph.dev"
)

// setting is one leaf of Config, found by the tags of its fields.
type setting struct {
	key   string
	flag  string // empty: it has none
	known bool   // the flag has a name of its own: it is for hands, and shown in the help
	shape string // what a text is, when it is not any text
	index []int
}

// env returns the setting's environment variable.
func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_").Replace(s.key))
}

// in returns a pointer to the setting's field of c.
func (s *setting) in(c *Config) any {
	return reflect.ValueOf(c).Elem().FieldByIndex(s.index).Addr().Interface()
}

const envPrefix = "HELIOGRAPH_"

// settings returns every setting, in the order of the struct.
func settings() []setting {
	return collect(nil, reflect.TypeFor[Config](), "", nil)
}

func collect(found []setting, t reflect.Type, prefix string, index []int) []setting {
	for i := range t.NumField() {
		field := t.Field(i)
		key, tagged := field.Tag.Lookup("key")
		if !tagged || key == "-" {
			continue
		}
		key = prefix + key
		at := append(slices.Clip(index), i)
		if field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[heliograph.Secret]() {
			found = collect(found, field.Type, key+".", at)
			continue
		}
		s := setting{key: key, index: at, shape: field.Tag.Get("shape"), flag: strings.NewReplacer(".", "-", "_", "-").Replace(key)}
		switch name := field.Tag.Get("flag"); name {
		case "":
		case "-":
			s.flag = ""
		default:
			s.flag, s.known = name, true
		}
		found = append(found, s)
	}
	return found
}

// nearest returns the candidate that word was probably meant to be, or "".
func nearest(word string, candidates []string) string {
	best, least := "", 1+max(2, len(word)/4)
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to add, drop or replace to make a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
