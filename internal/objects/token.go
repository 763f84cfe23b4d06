package objects

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"heliograph.dev"
)

// kind is what a token is for.
type kind byte

const (
	pageOf    kind = iota + 1 // a collection, behind an object by its making
	rankedOf                  // a collection in an order of the client's, behind so many
	firstOf                   // the first round of delta, behind an object by its last change
	deltaOf                   // a later round, on its way
	sinceThen                 // what has changed since
)

// token is what a client carries from one request to the next.
type token struct {
	kind kind
	at   heliograph.Position
	// began is where the log was when the first round of delta began: what changed since then is told in the next.
	began heliograph.Position
}

const tokenSize, codeSize = 1 + 2*(8+4), 16

// seal makes a token for one collection of a tenant.
func (s *Store) seal(t token, tenant heliograph.TenantID, list string) string {
	b := append(make([]byte, 0, tokenSize+codeSize), byte(t.kind))
	for _, p := range []heliograph.Position{t.at, t.began} {
		b = binary.BigEndian.AppendUint64(b, p.Sequence)
		b = binary.BigEndian.AppendUint32(b, p.Index)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, s.code(tenant, list, b)...))
}

func (s *Store) open(text string, tenant heliograph.TenantID, list string) (token, bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != tokenSize+codeSize || !hmac.Equal(b[tokenSize:], s.code(tenant, list, b[:tokenSize])) {
		return token{}, false
	}
	position := func(b []byte) heliograph.Position {
		return heliograph.Position{Sequence: binary.BigEndian.Uint64(b), Index: binary.BigEndian.Uint32(b[8:])}
	}
	return token{kind(b[0]), position(b[1:]), position(b[13:])}, true
}

func (s *Store) code(tenant heliograph.TenantID, list string, b []byte) []byte {
	code := hmac.New(sha256.New, s.opts.Key)
	bound := heliograph.DeriveGUID("objects", string(tenant), list)
	code.Write(bound[:])
	code.Write(b)
	return code.Sum(nil)[:codeSize]
}
