package receiver

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
	"unicode/utf8"
)

// What a subscriber's certificate may be.
const (
	minCertificateBits = 2048
	maxCertificateBits = 4096
	maxCertificateID   = 128
	defaultValidity    = 365 * 24 * time.Hour
	serialBits         = 127 // positive whatever they are
)

// SelfSignedOptions say what certificate to make. The zero value is good.
type SelfSignedOptions struct {
	// ID becomes the encryptionCertificateId, at most 128 characters. Empty: the certificate's thumbprint.
	ID string
	// CommonName is the certificate's subject. Nobody checks it. Empty: "change notifications".
	CommonName string
	// Bits is the size of the RSA key, 2048 to 4096. Zero: 2048.
	Bits int
	// Validity is how long the certificate says that it holds. Zero: a year. Neither Graph nor receivers check it.
	Validity time.Duration
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Subscriber is a certificate for subscriptions with resource data, and its private key.
type Subscriber struct {
	// EncryptionCertificate and EncryptionCertificateID go into the subscription.
	EncryptionCertificate   string
	EncryptionCertificateID string
	// CertificatePEM and KeyPEM (PKCS #8) are to be kept; the key is a secret, for a file of mode 0600 or better.
	CertificatePEM []byte
	KeyPEM         []byte
	// NotAfter is the end of the certificate's validity.
	NotAfter time.Time
}

// SelfSigned makes a certificate for subscriptions with resource data. It needs no authority's signature: senders use
// the key in it and check nothing else.
func SelfSigned(o SelfSignedOptions) (*Subscriber, error) {
	bits := cmp.Or(o.Bits, minCertificateBits)
	now := o.Now
	if now == nil {
		now = time.Now //nolint:forbidigo // the clock of a program that has no other
	}
	switch {
	case bits < minCertificateBits || bits > maxCertificateBits || bits%8 != 0:
		return nil, fmt.Errorf("make certificate: a key of %d bits; %d to %d are supported", bits, minCertificateBits, maxCertificateBits)
	case utf8.RuneCountInString(o.ID) > maxCertificateID:
		return nil, fmt.Errorf("make certificate: the id has more than %d characters", maxCertificateID)
	case o.Validity < 0:
		return nil, fmt.Errorf("make certificate: a validity of %s", o.Validity)
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	begin := now().UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: cmp.Or(o.CommonName, "change notifications")},
		NotBefore:    begin.Add(-time.Hour), // for clocks that are behind
		NotAfter:     begin.Add(cmp.Or(o.Validity, defaultValidity)),
		KeyUsage:     x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return newSubscriber(o.ID, der, key)
}

func newSubscriber(id string, der []byte, key *rsa.PrivateKey) (*Subscriber, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return &Subscriber{
		EncryptionCertificate:   base64.StdEncoding.EncodeToString(der),
		EncryptionCertificateID: cmp.Or(id, thumbprint(certificate)),
		CertificatePEM:          pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:                  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		NotAfter:                certificate.NotAfter,
	}, nil
}

// Fields returns the two properties as a JSON object, to paste into the body of a create or update request.
func (s Subscriber) Fields() []byte {
	text, _ := json.MarshalIndent(struct { //nolint:errchkjson // strings always can
		Certificate string `json:"encryptionCertificate"`
		ID          string `json:"encryptionCertificateId"`
	}{s.EncryptionCertificate, s.EncryptionCertificateID}, "", "  ")
	return text
}

// String tells the certificate's id, and nothing of the key.
func (s Subscriber) String() string { return "subscriber certificate " + s.EncryptionCertificateID }

// GoString is String, for %#v.
func (s Subscriber) GoString() string { return s.String() }
