package filter

import (
	"heliograph.dev/internal/odata/edm"
)

// Values returns the strings of which a property must be one in whatever the filter means, or false when the filter
// does not say so: what it lets through can be something else.
func (f *Filter) Values(property string) ([]string, bool) {
	return valuesOf(f.root, []byte(property))
}

func valuesOf(x expr, property []byte) ([]string, bool) {
	switch x := x.(type) {
	case *logical:
		return x.values(property)
	case *comparison:
		if x.word != "eq" {
			return nil, false
		}
		if isProperty(x.left, property) {
			return literalsOf(x.right)
		}
		if isProperty(x.right, property) {
			return literalsOf(x.left)
		}
	case *membership:
		if !isProperty(x.of, property) {
			return nil, false
		}
		list := make([]expr, len(x.list))
		for i, l := range x.list {
			list[i] = l
		}
		return literalsOf(list...)
	}
	return nil, false
}

// values of or are those of all parts, of and those of any part that says.
func (l *logical) values(property []byte) (all []string, ok bool) {
	for _, part := range l.list {
		values, ok := valuesOf(part, property)
		switch {
		case ok && !l.or:
			return values, true
		case !ok && l.or:
			return nil, false
		}
		all = append(all, values...)
	}
	return all, l.or
}

func isProperty(x expr, property []byte) bool {
	p, ok := x.(*path)
	return ok && edm.CompareText((&path{steps: p.steps}).append(nil), property) == 0
}

// literalsOf returns the texts of literals, if that is what they are.
func literalsOf(list ...expr) (texts []string, ok bool) {
	for _, x := range list {
		l, ok := x.(*literal)
		if !ok || l.of != textual {
			return nil, false
		}
		texts = append(texts, string(l.value.b))
	}
	return texts, true
}

// IsWord reports whether a filter may use the operator or function of that name, in lower case.
func IsWord(name string) bool {
	switch name {
	case "eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "in", "has", "any", "all":
		return true
	}
	_, ok := functionOf(name)
	return ok
}
