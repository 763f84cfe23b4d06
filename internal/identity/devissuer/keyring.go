package devissuer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1 thumbprint by definition (RFC 7517, 4.8); it names, it protects nothing
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	rsaBits    = 2048
	keptKeys   = 3 // one that signs, two whose tokens are still about
	sealBytes  = 32
	certYears  = 20 // beyond where anybody moves a development clock
	blockKey   = "PRIVATE KEY"
	blockCert  = "CERTIFICATE"
	blockSeal  = "HELIOGRAPH SEALING KEY"
	certSerial = 128 // bits
)

// keyring holds the keys, in memory and in its file.
type keyring struct {
	file  string
	now   func() time.Time
	ready chan struct{} // closed once ring or err is set
	err   error         // why there is none
	ring  atomic.Pointer[ring]
	turn  sync.Mutex // of rotations
	wg    sync.WaitGroup
}

// ring is the keys at one time. It is never changed.
type ring struct {
	pairs  []pair // newest first: that one signs
	seal   []byte
	signer jose.Signer
	sealer cipher.AEAD
	public *jose.JSONWebKeySet
}

// pair is a signing key and the certificate that clients of x5c look for.
type pair struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func openKeyring(o *Options) (*keyring, error) {
	file := o.KeyFile
	k := &keyring{file: file, now: o.Now, ready: make(chan struct{})}
	if o.Keys != nil {
		loaded, err := parseRing(o.Keys)
		if err != nil {
			return nil, fmt.Errorf("read signing keys: %w", err)
		}
		k.ring.Store(loaded)
		close(k.ready)
		return k, nil
	}
	if file != "" {
		text, err := os.ReadFile(file) //nolint:gosec // the path is the operator's
		switch {
		case err == nil:
			loaded, err := parseRing(text)
			if err != nil {
				return nil, fmt.Errorf("read signing keys %s: %w", file, err)
			}
			k.ring.Store(loaded)
			close(k.ready)
			return k, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read signing keys: %w", err)
		}
	}
	k.wg.Go(func() {
		defer close(k.ready)
		k.err = k.add()
	})
	return k, nil
}

func (k *keyring) get(ctx context.Context) (*ring, error) {
	if r := k.ring.Load(); r != nil {
		return r, nil
	}
	select {
	case <-k.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if k.err != nil {
		return nil, k.err
	}
	return k.ring.Load(), nil
}

func (k *keyring) rotate(ctx context.Context) error {
	if _, err := k.get(ctx); err != nil {
		return err
	}
	return k.add()
}

// add makes a key and puts it first.
func (k *keyring) add() error {
	k.turn.Lock()
	defer k.turn.Unlock()
	fresh, err := newPair(k.now())
	if err != nil {
		return fmt.Errorf("make signing key: %w", err)
	}
	pairs, seal := []pair{fresh}, make([]byte, sealBytes)
	if old := k.ring.Load(); old != nil {
		pairs, seal = append(pairs, old.pairs...), old.seal
		pairs = pairs[:min(len(pairs), keptKeys)]
	} else {
		_, _ = rand.Read(seal) // never fails: crypto/rand ends the program instead
	}
	next, err := newRing(pairs, seal)
	if err != nil {
		return err
	}
	if k.file != "" {
		if err := next.write(k.file); err != nil {
			return fmt.Errorf("keep signing keys: %w", err)
		}
	}
	k.ring.Store(next)
	return nil
}

// MakeKeys makes keys in the form of a key file, for Options.Keys.
func MakeKeys(now time.Time) ([]byte, error) {
	k := keyring{now: func() time.Time { return now }}
	if err := k.add(); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err := k.ring.Load().encode(&text)
	return text.Bytes(), err
}

func newPair(now time.Time) (pair, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return pair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), certSerial))
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Heliograph development issuer"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(certYears, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return pair{key: key, cert: cert}, err
}

// id is the kid, which for Entra is the certificate's thumbprint.
func (p pair) id() string { return thumbprint(p.cert) }

// thumbprint is a certificate's SHA-1 as a JWK's x5t has it (RFC 7517, 4.8).
func thumbprint(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw) //nolint:gosec // see the import
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func newRing(pairs []pair, seal []byte) (*ring, error) {
	r := &ring{pairs: pairs, seal: seal, public: &jose.JSONWebKeySet{}}
	for _, p := range pairs {
		r.public.Keys = append(r.public.Keys, jose.JSONWebKey{
			Key: &p.key.PublicKey, KeyID: p.id(), Use: "sig", Algorithm: string(jose.RS256), Certificates: []*x509.Certificate{p.cert},
		})
	}
	newest := pairs[0]
	var err error
	r.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: newest.key, KeyID: newest.id()}},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t", newest.id()),
	)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(seal)
	if err != nil {
		return nil, err
	}
	r.sealer, err = cipher.NewGCMWithRandomNonce(block)
	return r, err
}

// parseRing reads what write wrote.
func parseRing(text []byte) (*ring, error) {
	var pairs []pair
	var seal []byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case blockKey:
			parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			key, ok := parsed.(*rsa.PrivateKey)
			if !ok {
				return nil, fmt.Errorf("a key is %T, not RSA", parsed)
			}
			pairs = append(pairs, pair{key: key})
		case blockCert:
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			if len(pairs) == 0 || !matches(pairs[len(pairs)-1].key, cert) {
				return nil, errors.New("a certificate does not follow its key")
			}
			pairs[len(pairs)-1].cert = cert
		case blockSeal:
			seal = block.Bytes
		}
	}
	for _, p := range pairs {
		if p.cert == nil {
			return nil, errors.New("a key has no certificate")
		}
	}
	if len(pairs) == 0 || len(seal) != sealBytes {
		return nil, errors.New("the file is incomplete")
	}
	return newRing(pairs, seal)
}

func matches(key *rsa.PrivateKey, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// write replaces the file in one step: a crash leaves the old keys or the new ones.
func (r *ring) write(file string) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), ".signing-*") // made with mode 0600
	if err != nil {
		return err
	}
	err = r.encode(temporary)
	if err == nil {
		err = temporary.Sync()
	}
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

func (r *ring) encode(to io.Writer) error {
	blocks := make([]*pem.Block, 0, 2*len(r.pairs)+1)
	for _, p := range r.pairs {
		der, err := x509.MarshalPKCS8PrivateKey(p.key)
		if err != nil {
			return err
		}
		blocks = append(blocks, &pem.Block{Type: blockKey, Bytes: der}, &pem.Block{Type: blockCert, Bytes: p.cert.Raw})
	}
	blocks = append(blocks, &pem.Block{Type: blockSeal, Bytes: r.seal})
	for _, block := range blocks {
		if err := pem.Encode(to, block); err != nil {
			return err
		}
	}
	return nil
}
