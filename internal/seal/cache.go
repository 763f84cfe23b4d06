package seal

import "sync"

// Certificates remembers what ParseCertificate made of the certificates that are in use, because delivery meets the
// same few with every notification. A text of which ParseCertificate says no is not remembered.
type Certificates struct {
	limit int

	mu sync.RWMutex
	// Two generations in place of a list in order of use: when the young one is full it becomes the old one, and
	// what is used again moves back. What is in use stays, and a hit costs one look-up under a shared lock.
	young, old map[string]*Certificate
}

// NewCertificates returns a cache of at most limit certificates; a limit below 2 is 2.
func NewCertificates(limit int) *Certificates {
	return &Certificates{limit: max(limit, 2), young: map[string]*Certificate{}}
}

// Parse is ParseCertificate, remembered. The text itself is the key: its length is what a subscription holds anyway,
// and no two certificates can be taken for one another.
func (c *Certificates) Parse(text string) (*Certificate, error) {
	c.mu.RLock()
	found, young := c.young[text]
	if !young {
		found = c.old[text]
	}
	c.mu.RUnlock()
	if young {
		return found, nil
	}
	if found == nil {
		parsed, err := ParseCertificate(text)
		if err != nil {
			return nil, err
		}
		found = parsed
	}
	c.keep(text, found)
	return found, nil
}

// Len returns how many certificates are remembered.
func (c *Certificates) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := len(c.young)
	for text := range c.old {
		if _, both := c.young[text]; !both {
			n++
		}
	}
	return n
}

func (c *Certificates) keep(text string, parsed *Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.limit/2 {
		c.young, c.old = make(map[string]*Certificate, c.limit/2), c.young
	}
	c.young[text] = parsed
}
