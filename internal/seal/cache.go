package seal

import "heliograph.dev/internal/seal/recent"

// Certificates remembers what ParseCertificate made of the certificates that are in use, because delivery meets the
// same few with every notification. A text that ParseCertificate refuses is not remembered.
type Certificates struct {
	parsed *recent.Cache[string, *Certificate]
}

// NewCertificates returns a cache of at most limit certificates; a limit below 2 is 2.
func NewCertificates(limit int) *Certificates {
	return &Certificates{parsed: recent.New[string, *Certificate](limit)}
}

// Parse is ParseCertificate, remembered. The text itself is the key: a subscription holds it anyway, and no two
// certificates can be taken for one another.
func (c *Certificates) Parse(text string) (*Certificate, error) {
	if found, ok := c.parsed.Get(text); ok {
		return found, nil
	}
	parsed, err := ParseCertificate(text)
	if err != nil {
		return nil, err
	}
	c.parsed.Put(text, parsed)
	return parsed, nil
}

// Len returns how many certificates are remembered.
func (c *Certificates) Len() int { return c.parsed.Len() }
