package heliograph

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// GUID is a 128-bit identifier, printed in lower case as Graph prints it. Subscription, change and
// notification ids are GUIDs (contract 1.1, 11.1, 11.2).
type GUID [16]byte

// SubscriptionID names a subscription. The server makes it.
type SubscriptionID = GUID

// ChangeID names a change. It follows from the tenant and the publisher's event source and id, so a
// publisher that sends an event again, because it did not see the first answer, names the same change.
type ChangeID = GUID

// NotificationID names one change as told to one subscription: the same in every attempt and after every
// restart, so that a receiver can drop duplicates.
type NotificationID = GUID

// TenantID is the GUID of a tenant, in lower case.
type TenantID string

// AppID is the client id of an application.
type AppID string

// ObjectID is the directory object id of a user or of a service principal.
type ObjectID string

// NewGUID returns a random GUID (RFC 9562, version 4).
func NewGUID() GUID {
	var g GUID
	_, _ = rand.Read(g[:]) // never fails: crypto/rand ends the program instead
	g[6] = g[6]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}

// DeriveGUID returns the GUID that follows from the parts (RFC 9562, version 8). The same parts give the
// same GUID; parts are told apart, so ("ab", "c") and ("a", "bc") differ.
func DeriveGUID(parts ...string) GUID {
	h := sha256.New()
	var size [4]byte
	for _, p := range parts {
		n := len(p)
		size[0], size[1], size[2], size[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n) //nolint:gosec // the length's low 32 bits only keep parts apart
		h.Write(size[:])
		h.Write([]byte(p))
	}
	var g GUID
	copy(g[:], h.Sum(nil))
	g[6] = g[6]&0x0f | 0x80
	g[8] = g[8]&0x3f | 0x80
	return g
}

// ParseGUID reads the 36-character form, in either case.
func ParseGUID(s string) (GUID, bool) {
	var g GUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return GUID{}, false
	}
	for n, at := range [len(g)]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		hi, lo := unhex(s[at]), unhex(s[at+1])
		if hi > 15 || lo > 15 {
			return GUID{}, false
		}
		g[n] = hi<<4 | lo
	}
	return g, true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// Append appends the 36-character form to b.
func (g GUID) Append(b []byte) []byte {
	b = hex.AppendEncode(b, g[0:4])
	b = hex.AppendEncode(append(b, '-'), g[4:6])
	b = hex.AppendEncode(append(b, '-'), g[6:8])
	b = hex.AppendEncode(append(b, '-'), g[8:10])
	return hex.AppendEncode(append(b, '-'), g[10:16])
}

// String returns the 36-character form in lower case.
func (g GUID) String() string { return string(g.Append(make([]byte, 0, 36))) }

// IsZero reports whether g names nothing.
func (g GUID) IsZero() bool { return g == GUID{} }

// MarshalText writes the 36-character form.
func (g GUID) MarshalText() ([]byte, error) { return g.Append(make([]byte, 0, 36)), nil }

// UnmarshalText reads the 36-character form.
func (g *GUID) UnmarshalText(text []byte) error {
	parsed, ok := ParseGUID(string(text))
	if !ok {
		return Errorf(Invalid, "guid", "not a GUID: %q", text)
	}
	*g = parsed
	return nil
}
