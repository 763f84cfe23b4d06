package catalog

import (
	"fmt"

	"heliograph.dev/internal/odata"
)

// refused reads the paths that look as if they could be subscribed to.
func (b *builder) refused(file string, paths []storedRefused) {
	for i, p := range paths {
		field := fmt.Sprintf("not_subscribable[%d]", i)
		if !b.c.profile.Knows(p.Rule) {
			b.add(file, "", field, "the profile has no rule %q", p.Rule)
		}
		t, err := parseTemplate(p.Path)
		if err == nil {
			err = b.c.refused.insert(&leaf{tmpl: t, refusal: p.Rule})
		}
		if err != nil {
			b.add(file, "", field, "%q: %w", p.Path, err)
		}
	}
}

// unknown returns the rule that refuses a resource of no row.
func (c *Catalog) unknown(r *odata.Resource) string {
	if leaves, _ := c.refused.find(r.Segments); len(leaves) > 0 {
		return leaves[0].refusal
	}
	return "create.resource.unknown"
}
