package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
)

// schemas checks values against the schemas of a description: as much of JSON Schema 2020-12 as the description uses. A
// keyword that it does not know is a problem, so that none is passed over.
type schemas struct{ root map[string]any }

// resolve follows a reference, if v is one.
func (s schemas) resolve(v any) map[string]any {
	at := object(v)
	ref, isRef := at["$ref"].(string)
	if !isRef {
		return at
	}
	var to any = s.root
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		to = object(to)[name]
	}
	if to == nil {
		panic("reference to nothing: " + ref)
	}
	return s.resolve(to)
}

// check returns what is wrong with a value.
func (s schemas) check(schema, value any, at string) []string {
	var problems []string
	wrong := func(format string, args ...any) {
		problems = append(problems, at+": "+fmt.Sprintf(format, args...))
	}
	rules := s.resolve(schema)
	for _, keyword := range slices.Sorted(maps.Keys(rules)) {
		rule := rules[keyword]
		switch keyword {
		case "description", "properties": // told, or looked at with additionalProperties and below
		case "type":
			if !slices.Contains(list(rule), any(typeOf(value))) && (typeOf(value) != "integer" || !slices.Contains(list(rule), any("number"))) {
				wrong("is %s, not %v", typeOf(value), rule)
			}
		case "const":
			if !reflect.DeepEqual(rule, value) {
				wrong("is %v, not %v", value, rule)
			}
		case "enum":
			if !slices.ContainsFunc(list(rule), func(one any) bool { return reflect.DeepEqual(one, value) }) {
				wrong("is %v, not one of %v", value, rule)
			}
		case "required":
			for _, name := range list(rule) {
				if typeOf(value) == "object" && !has(object(value), fmt.Sprint(name)) {
					wrong("%s is missing", name)
				}
			}
		case "additionalProperties", "items", "minItems", "maxItems":
			problems = append(problems, s.checkParts(rules, keyword, value, at)...)
		case "format", "pattern", "maxLength":
			if text, isText := value.(string); isText {
				problems = append(problems, checkText(keyword, rule, text, at)...)
			}
		default:
			wrong("the schema's keyword %s is not known here", keyword)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object(value))) {
		if schema, known := object(rules["properties"])[name]; known {
			problems = append(problems, s.check(schema, object(value)[name], at+"."+name)...)
		}
	}
	return problems
}

// checkParts looks at what an object or an array is made of.
func (s schemas) checkParts(rules map[string]any, keyword string, value any, at string) []string {
	var problems []string
	switch parts := value.(type) {
	case map[string]any:
		properties := object(rules["properties"])
		for name, part := range parts {
			switch {
			case keyword != "additionalProperties" || has(properties, name):
			case rules[keyword] == false:
				problems = append(problems, at+": "+name+" is not described")
			default:
				problems = append(problems, s.check(rules[keyword], part, at+"."+name)...)
			}
		}
	case []any:
		switch keyword {
		case "items":
			for i, part := range parts {
				problems = append(problems, s.check(rules[keyword], part, fmt.Sprintf("%s[%d]", at, i))...)
			}
		case "minItems":
			if float64(len(parts)) < number(rules[keyword]) {
				problems = append(problems, fmt.Sprintf("%s: has %d items", at, len(parts)))
			}
		case "maxItems":
			if float64(len(parts)) > number(rules[keyword]) {
				problems = append(problems, fmt.Sprintf("%s: has %d items", at, len(parts)))
			}
		}
	}
	return problems
}

func checkText(keyword string, rule any, text, at string) []string {
	var ok bool
	switch {
	case keyword == "pattern":
		ok = regexp.MustCompile(fmt.Sprint(rule)).MatchString(text)
	case keyword == "maxLength":
		ok = float64(len([]rune(text))) <= number(rule)
	case rule == "uuid":
		_, ok = heliograph.ParseGUID(text)
	case rule == "uri":
		u, err := url.Parse(text)
		ok = err == nil && u.IsAbs()
	case rule == "date-time":
		_, err := time.Parse(time.RFC3339, text)
		ok = err == nil
	}
	if ok {
		return nil
	}
	return []string{fmt.Sprintf("%s: %q is not of the %s %v", at, text, keyword, rule)}
}

func has(in map[string]any, name string) bool {
	_, found := in[name]
	return found
}

// object returns v as an object, or nil.
func object(v any) map[string]any {
	o, _ := v.(map[string]any)
	return o
}

// number returns v as a number, or 0.
func number(v any) float64 {
	n, _ := v.(float64)
	return n
}

func list(v any) []any {
	if many, isList := v.([]any); isList {
		return many
	}
	return []any{v}
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
	}
	return "number"
}

// The checker finds what is wrong: else nothing that it lets pass would say anything.
func TestSchemas(t *testing.T) {
	t.Parallel()
	var root map[string]any
	decode(t, `{"thing":{"type":"object","required":["a"],"additionalProperties":false,"properties":{
		"a":{"type":["string","null"],"maxLength":3},"n":{"type":"number"},"i":{"type":"integer"},"e":{"enum":["x",1]},"c":{"const":"y"},
		"l":{"type":"array","minItems":1,"maxItems":2,"items":{"$ref":"#/thing"}},"m":{"type":"object","additionalProperties":{"type":"boolean"}},
		"u":{"type":"string","format":"uuid"},"d":{"type":"string","format":"date-time"},"h":{"type":"string","format":"uri"},
		"p":{"type":"string","pattern":"^a+$"},"odd":{"multipleOf":3},"f":{"format":"email"}}}}`, &root)
	s := schemas{root}
	for text, want := range map[string]string{
		`{"a":null}`: "",
		`{"a":"abc","n":1.5,"i":2,"e":1,"c":"y","l":[{"a":""}],"m":{"x":true},"u":"86f7b6ad-51d2-8dc6-a1dc-97a1c8f39d69","d":"2026-11-24T10:30:00.9356913Z","h":"http://x/y","p":"aa"}`: "",
		`{"a":"","n":2}`:                      "",
		`[]`:                                  "$: is array, not object",
		`{}`:                                  "$: a is missing",
		`{"a":"","b":1}`:                      "$: b is not described",
		`{"a":1}`:                             "$.a: is integer, not [string null]",
		`{"a":"abcd"}`:                        `$.a: "abcd" is not of the maxLength 3`,
		`{"a":"","i":1.5}`:                    "$.i: is number, not integer",
		`{"a":"","e":2}`:                      "$.e: is 2, not one of [x 1]",
		`{"a":"","c":"x"}`:                    "$.c: is x, not y",
		`{"a":"","l":[]}`:                     "$.l: has 0 items",
		`{"a":"","l":[{"a":""},{"a":""},{}]}`: "$.l[2]: a is missing $.l: has 3 items",
		`{"a":"","m":{"x":1}}`:                "$.m.x: is integer, not boolean",
		`{"a":"","u":"x"}`:                    `$.u: "x" is not of the format uuid`,
		`{"a":"","d":"2026-11-24"}`:           `$.d: "2026-11-24" is not of the format date-time`,
		`{"a":"","h":"/y"}`:                   `$.h: "/y" is not of the format uri`,
		`{"a":"","p":"b"}`:                    `$.p: "b" is not of the pattern ^a+$`,
		`{"a":"","odd":3}`:                    "$.odd: the schema's keyword multipleOf is not known here",
		`{"a":"","f":"a@b"}`:                  `$.f: "a@b" is not of the format email`,
	} {
		var value any
		decode(t, text, &value)
		if got := strings.Join(s.check(root["thing"], value, "$"), " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// asAny returns what JSON makes of a text.
func asAny(text string) (any, error) {
	var v any
	err := json.Unmarshal([]byte(text), &v)
	return v, err
}
