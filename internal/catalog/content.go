package catalog

// Content says how what a rich notification tells differs from the resource as it was published (contract 13.17
// to 13.23). The zero value tells everything.
type Content struct {
	// Selected tells only what $select names, with the type beside what is no string; Types are types by property
	// that the value does not show.
	Selected bool              `yaml:"selected"`
	Types    map[string]string `yaml:"types"`
	// Only are all properties that are told; Omit are never told, Blank always empty.
	Only  []string `yaml:"only"`
	Omit  []string `yaml:"omit"`
	Blank []string `yaml:"blank"`
	// Evolvable are members of enumerations, by property, that only those are told who asked for unknown ones.
	Evolvable map[string][]string `yaml:"evolvable"`
	// User are the properties of the user-specific payload, which is sent when the property UserView changed and
	// the subscription asked for it.
	User     []string `yaml:"user"`
	UserView string   `yaml:"user_view"`
}

// contentOf returns what a row says of its content: everything, when it says nothing.
func contentOf(stored *Content) *Content {
	if stored == nil {
		return &Content{}
	}
	return stored
}
