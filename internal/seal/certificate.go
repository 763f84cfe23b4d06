package seal

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Graph names certificates by their SHA-1 thumbprint (contract 13.1); it protects nothing
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"time"

	"heliograph.dev"
)

// What a subscriber's key may be (contract 13.8), and how long the text around it: 4096 bits and a few extensions
// make 3 KB, a chain of certificates more than that.
const (
	minBits = 2048
	maxBits = 4096
	maxText = 64 << 10
)

// Certificate is a subscriber's certificate that is fit to seal with.
type Certificate struct {
	key        *rsa.PublicKey
	thumbprint string
	notBefore  time.Time
	notAfter   time.Time
}

// ParseCertificate reads an encryptionCertificate: base64 of an X.509 certificate in DER or in PEM (contract 13.9),
// lines and spaces in the base64 do not matter. A refusal is a *Refusal.
//
// Text that is PEM itself is refused, with the remedy: Graph decodes base64 first, and an application that works
// here must work there. A certificate that has expired is taken, as Graph takes it: see Warnings.
func ParseCertificate(text string) (*Certificate, error) {
	der, err := decode(text)
	if err != nil {
		return nil, err
	}
	found, parseErr := x509.ParseCertificates(der)
	switch {
	case parseErr != nil, len(found) == 0:
		return nil, refuse(RuleFormat, isNot(der), nil)
	case len(found) > 1:
		return nil, refuseSeveral(len(found))
	}
	return fromX509(found[0])
}

// decode returns what stands in the base64: DER, out of PEM where it is wrapped so.
func decode(text string) ([]byte, error) {
	if len(text) > maxText {
		return nil, refuse(RuleFormat, "It is longer than a certificate can be.", nil)
	}
	if strings.Contains(text, "-----BEGIN ") {
		if holdsPrivateKey([]byte(text)) {
			return nil, refusePrivateKey()
		}
		return nil, refuse(RuleFormat, "It is PEM as it stands: send the base64 of it, or only the lines between BEGIN and END.", nil)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(raw) == 0 {
		return nil, refuse(RuleFormat, "It is not base64.", nil)
	}
	if bytes.Contains(raw, []byte("-----BEGIN ")) {
		return fromPEM(raw)
	}
	if isPrivateKey(raw) {
		return nil, refusePrivateKey()
	}
	return raw, nil
}

// fromPEM returns the one certificate of a PEM text.
func fromPEM(text []byte) ([]byte, error) {
	if holdsPrivateKey(text) { // before all else: whatever is wrong besides matters less
		return nil, refusePrivateKey()
	}
	var der []byte
	certificates := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		certificates++
		der = block.Bytes
	}
	switch certificates {
	case 0:
		return nil, refuse(RuleFormat, "The PEM text holds no certificate.", nil)
	case 1:
		return der, nil
	}
	return nil, refuseSeveral(certificates)
}

func fromX509(c *x509.Certificate) (*Certificate, error) {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, refuseAlgorithm(c.PublicKeyAlgorithm)
	}
	if bits := key.N.BitLen(); bits < minBits || bits > maxBits {
		return nil, refuseSize(bits)
	}
	sum := sha1.Sum(c.Raw) //nolint:gosec // see the import
	parsed := &Certificate{
		key: key, thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])), notBefore: c.NotBefore, notAfter: c.NotAfter,
	}
	// A key may be of the right size and still unfit (an exponent of 1 would seal nothing): better to see now than
	// with every notification.
	if _, err := parsed.AppendContent(nil, "", nil); err != nil {
		return nil, refuse(RuleKey, "Its RSA key cannot be used.", nil)
	}
	return parsed, nil
}

// Thumbprint returns the SHA-1 hash of the certificate in upper-case hexadecimal (contract 13.1).
func (c *Certificate) Thumbprint() string { return c.thumbprint }

// Bits returns the size of its key.
func (c *Certificate) Bits() int { return c.key.N.BitLen() }

// Validity returns the first and the last moment for which the certificate was issued.
func (c *Certificate) Validity() (from, to time.Time) { return c.notBefore, c.notAfter }

// Warning is something about a certificate that its owner should know, and that refuses nothing.
type Warning struct {
	Reason heliograph.Reason
	At     time.Time // the moment that it is about
	Text   string
}

// The reasons for a warning.
const (
	Expired     heliograph.Reason = "certificate_expired"
	Expiring    heliograph.Reason = "certificate_expiring"
	NotYetValid heliograph.Reason = "certificate_not_yet_valid"
)

// expiringWithin is how long before its end a certificate is spoken of: a month is what a rotation takes where
// people have to sign for it.
const expiringWithin = 30 * 24 * time.Hour

// Warnings returns what is to be said about the certificate at a time, or nothing. Graph does not look at the
// dates, and receivers do not either: decryption goes on working. Other tools of the owner may refuse it.
func (c *Certificate) Warnings(now time.Time) []Warning {
	switch {
	case now.Before(c.notBefore):
		return []Warning{{NotYetValid, c.notBefore, "The encryption certificate is valid only from " + date(c.notBefore) + "."}}
	case now.After(c.notAfter):
		return []Warning{{Expired, c.notAfter, "The encryption certificate expired on " + date(c.notAfter) + "."}}
	case now.Add(expiringWithin).After(c.notAfter):
		return []Warning{{Expiring, c.notAfter, "The encryption certificate expires on " + date(c.notAfter) + "."}}
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
