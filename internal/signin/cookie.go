package signin

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"heliograph.dev/internal/seal/xaes"
)

// The cookies. Browsers take those named __Host- from this host only, with Secure and for the whole of it (RFC 6265bis).
const (
	sessionCookie = "__Host-heliograph"
	flowCookie    = "__Host-heliograph-signin"
)

// A browser keeps cookies of up to 4096 bytes, name and attributes included, and a token may be longer: what is sealed
// is cut into parts. The most parts together stay well below what servers take as headers.
const (
	partSize  = 3800
	mostParts = 5
)

// sealer makes cookies that nobody else can read or make.
type sealer struct {
	aead *xaes.AEAD
	to   string // what the cookies are bound to besides their name
}

func newSealer(key []byte, to string) (sealer, error) {
	aead, err := xaes.New(key)
	if err != nil {
		return sealer{}, fmt.Errorf("signin: %w", err)
	}
	return sealer{aead, to}, nil
}

// set seals v into the cookie and its further parts.
func (s sealer) set(w http.ResponseWriter, r *http.Request, name string, v any, life time.Duration) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return err
	}
	nonce := make([]byte, xaes.NonceSize)
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead
	sealed, err := s.aead.Seal(nonce, nonce, plain, []byte(name+" "+s.to))
	if err != nil {
		return err
	}
	text := base64.RawURLEncoding.EncodeToString(sealed)
	parts := (len(text) + partSize - 1) / partSize
	if parts > mostParts {
		return fmt.Errorf("a session of %d bytes is too large for cookies", len(text))
	}
	s.clear(w, r, name)
	for n := range parts {
		part := text[n*partSize : min(len(text), (n+1)*partSize)]
		if n == 0 {
			part = strconv.Itoa(parts) + "." + part
		}
		http.SetCookie(w, cookie(partName(name, n), part, int(life/time.Second)))
	}
	return nil
}

// get opens what the request's cookies hold.
func (s sealer) get(r *http.Request, name string, v any) bool {
	first, err := r.Cookie(name)
	if err != nil {
		return false
	}
	count, text, _ := strings.Cut(first.Value, ".")
	parts, err := strconv.Atoi(count)
	if err != nil || parts < 1 || parts > mostParts {
		return false
	}
	var whole strings.Builder
	whole.WriteString(text)
	for n := 1; n < parts; n++ {
		part, err := r.Cookie(partName(name, n))
		if err != nil {
			return false
		}
		whole.WriteString(part.Value)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(whole.String())
	if err != nil || len(sealed) < xaes.NonceSize {
		return false
	}
	plain, err := s.aead.Open(nil, sealed[:xaes.NonceSize], sealed[xaes.NonceSize:], []byte(name+" "+s.to))
	return err == nil && json.Unmarshal(plain, v) == nil
}

// clear removes the cookie and its parts from the browser, as far as it has sent them.
func (s sealer) clear(w http.ResponseWriter, r *http.Request, name string) {
	for n := range mostParts {
		if _, err := r.Cookie(partName(name, n)); err == nil {
			http.SetCookie(w, cookie(partName(name, n), "", -1))
		}
	}
}

func partName(name string, n int) string {
	if n == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(n)
}

func cookie(name, value string, age int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// session is what the session cookie holds.
type session struct {
	Token string `json:"t"`
	Name  string `json:"n"`
	User  string `json:"u"`
	Ends  int64  `json:"e"`
}

func (s *session) expires() time.Time { return time.Unix(s.Ends, 0).UTC() }

// session returns the session of a browser, if it has one that has not ended.
func (g *Gate) session(r *http.Request) (*session, bool) {
	var s session
	if !g.sealer.get(r, sessionCookie, &s) || !g.opts.Now().Before(s.expires()) {
		return nil, false
	}
	return &s, true
}

// flow is a sign-in under way.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // PKCE's
	To       string `json:"t"`
	Ends     int64  `json:"e"`
}
