package heliograph

import "log/slog"

// Secret is text that must not be shown: a clientState, a key, a token. Every way of printing it, JSON
// included, gives a mask; Reveal gives the text, and is the word to search for when asking where secrets go.
type Secret struct{ text string }

const mask = "[redacted]"

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text itself.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.text == "" }

// String returns a mask.
func (s Secret) String() string { return mask }

// GoString returns a mask, for %#v.
func (s Secret) GoString() string { return mask }

// LogValue returns a mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText returns a mask: a stored or wire type that must carry the text says so with Reveal.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }
