package token

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // kid and x5t are SHA-1 thumbprints by definition (RFC 7517, 4.8); they name, they protect nothing
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"heliograph.dev"
)

const (
	keyBits    = 2048
	certYears  = 5
	certSerial = 127 // bits: positive whatever they are
	maxTries   = 10
	// grace is how long a key stays published after its last token has ended, for clocks that are behind.
	grace = time.Hour

	blockKey  = "PRIVATE KEY"
	blockCert = "CERTIFICATE"
	created   = "Created"
)

// ring is the keys at one time, newest first. It is never empty and never changed.
type ring struct {
	keys    []*key
	version uint64 // of the store
}

type key struct {
	id      string // kid
	private *rsa.PrivateKey
	cert    *x509.Certificate
	created time.Time
}

// signer returns the newest key that has been published for a period, or the oldest there is.
func (r *ring) signer(now time.Time, period time.Duration) *key {
	for _, k := range r.keys {
		if !now.Before(k.created.Add(period)) {
			return k
		}
	}
	return r.keys[len(r.keys)-1]
}

// Certificates returns the certificates of the keys that are published, newest first: an issuer that publishes keys
// of its own at the same addresses adds them to its own.
func (t *Tokens) Certificates() []*x509.Certificate {
	var all []*x509.Certificate
	for _, k := range t.keys.Load().keys {
		all = append(all, k.cert)
	}
	return all
}

// Refresh takes over what other nodes have put into the store, makes the next key when it is due, and drops those
// that nothing valid is signed with any more.
func (t *Tokens) Refresh(ctx context.Context) error {
	t.refresh.Lock()
	defer t.refresh.Unlock()
	var err error
	for range maxTries {
		if err = t.refreshOnce(ctx); heliograph.KindOf(err) != heliograph.Conflict {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("refresh signing keys: %w", err)
	}
	return nil
}

func (t *Tokens) refreshOnce(ctx context.Context) error {
	content, version, err := t.store.Load(ctx)
	if err != nil {
		return err
	}
	old := t.keys.Load()
	if old == nil || old.version != version || version == 0 {
		if old, err = parseRing(content, version); err != nil {
			return err
		}
	}
	now := t.now()
	keys := t.current(old.keys, now)
	if len(keys) == 0 || !now.Before(keys[0].created.Add(t.period)) {
		fresh, err := newKey(now)
		if err != nil {
			return fmt.Errorf("make signing key: %w", err)
		}
		keys = slices.Insert(keys, 0, fresh)
	}
	if slices.Equal(keys, old.keys) {
		t.keys.Store(old)
		return nil
	}
	text, err := encodeRing(keys)
	if err != nil {
		return err
	}
	if version, err = t.store.Save(ctx, text, version); err != nil {
		return err
	}
	t.keys.Store(&ring{keys: keys, version: version})
	return nil
}

// current leaves out the keys whose last token has ended: a key's last token is signed when the next one takes over.
func (t *Tokens) current(keys []*key, now time.Time) []*key {
	for i := 1; i < len(keys); i++ {
		if done := keys[i-1].created.Add(t.period); now.After(done.Add(t.lifetime + grace)) {
			return slices.Clone(keys[:i])
		}
	}
	return slices.Clone(keys)
}

func newKey(now time.Time) (*key, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), certSerial))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Heliograph validation tokens"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(certYears, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &key{id: thumbprint(cert), private: private, cert: cert, created: now.UTC().Truncate(time.Second)}, nil
}

// thumbprint returns a certificate's x5t, which is the kid too.
func thumbprint(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw) //nolint:gosec // see the import
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// encodeRing writes keys as they are stored: each as a PEM block of the key with the time when it was made, then one of its
// certificate.
func encodeRing(keys []*key) ([]byte, error) {
	var text []byte
	for _, k := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(k.private)
		if err != nil {
			return nil, err
		}
		headers := map[string]string{created: k.created.Format(time.RFC3339)}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: blockKey, Headers: headers, Bytes: der})...)
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: k.cert.Raw})...)
	}
	return text, nil
}

// parseRing reads what encodeRing wrote. No content gives a ring without keys, for the caller to fill.
func parseRing(content []byte, version uint64) (*ring, error) {
	r := &ring{version: version}
	rest := content
	for len(rest) > 0 {
		var keyBlock, certBlock *pem.Block
		keyBlock, rest = pem.Decode(rest)
		if keyBlock != nil {
			certBlock, rest = pem.Decode(rest)
		}
		if keyBlock == nil || certBlock == nil || keyBlock.Type != blockKey || certBlock.Type != blockCert {
			return nil, errors.New("the stored keys are not pairs of a key and its certificate")
		}
		k, err := parseKey(keyBlock, certBlock)
		if err != nil {
			return nil, fmt.Errorf("stored key %d: %w", len(r.keys)+1, err)
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

func parseKey(keyBlock, certBlock *pem.Block) (*key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, errors.New("it is not PKCS #8") // the cause might quote it
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is %T, not RSA", parsed)
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("its certificate: %w", err)
	}
	at, err := time.Parse(time.RFC3339, keyBlock.Headers[created])
	if err != nil {
		return nil, fmt.Errorf("it does not say when it was made: %w", err)
	}
	if !private.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("its certificate is another key's")
	}
	return &key{id: thumbprint(cert), private: private, cert: cert, created: at}, nil
}
