package seal_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/seal"
)

func TestParseCertificate(t *testing.T) {
	t.Parallel()
	cert, _ := newCertificate(t, 2048)
	der := base64.StdEncoding.EncodeToString(cert.Raw)
	armoured := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	body := strings.TrimSuffix(strings.TrimPrefix(string(armoured), "-----BEGIN CERTIFICATE-----\n"), "-----END CERTIFICATE-----\n")

	for name, text := range map[string]string{ // contract 13.9
		"DER":                     der,
		"PEM":                     base64.StdEncoding.EncodeToString(armoured),
		"PEM behind a text":       base64.StdEncoding.EncodeToString(append([]byte("subject=CN = a subscriber\r\n"), armoured...)),
		"lines of a PEM":          body,
		"lines that end in CR LF": strings.ReplaceAll(body, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := seal.ParseCertificate(text)
			if err != nil {
				t.Fatal(err)
			}
			// contract 13.1
			if want := fmt.Sprintf("%X", sha1.Sum(cert.Raw)); parsed.Thumbprint() != want {
				t.Errorf("thumbprint %s, want %s", parsed.Thumbprint(), want)
			}
			if parsed.Bits() != 2048 {
				t.Errorf("%d bits", parsed.Bits())
			}
		})
	}
}

func TestKeySizes(t *testing.T) { // contract 13.8
	t.Parallel()
	issuer, issuerKey := newCertificate(t, 2048)
	for bits, ok := range map[int]bool{1024: false, 2040: false, 2048: true, 3072: true, 4096: true, 4104: false} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			parsed, err := seal.ParseCertificate(base64.StdEncoding.EncodeToString(ofSize(t, issuer, issuerKey, bits)))
			if ok {
				if err != nil || parsed.Bits() != bits {
					t.Fatal(parsed, err)
				}
				return
			}
			refusal := refused(t, err, seal.RuleSize)
			want := map[string]string{"detail": refusal.Args["detail"], "bits": fmt.Sprint(bits), "min": "2048", "max": "4096"}
			if diff := cmp.Diff(want, refusal.Args); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	rsaCert, rsaKey := newCertificate(t, 2048)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(rsaKey))
	certPEM := armour("CERTIFICATE", rsaCert.Raw)
	request := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, rsaKey))

	for _, c := range []struct {
		name, rule string
		content    []byte // what is base64-encoded
	}{
		{"nothing", seal.RuleFormat, nil},
		{"noise", seal.RuleFormat, []byte("this is no certificate")},
		{"half a certificate", seal.RuleFormat, rsaCert.Raw[:len(rsaCert.Raw)/2]},
		{"a certificate and a byte", seal.RuleFormat, append(bytes.Clone(rsaCert.Raw), 0)},
		{"a request", seal.RuleFormat, request},
		{"a public key", seal.RuleFormat, must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey))},
		{"a public PKCS #1 key", seal.RuleFormat, x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)},
		{"a PEM without a certificate", seal.RuleFormat, armour("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)))},
		{"a PEM without anything in it", seal.RuleFormat, armour("CERTIFICATE", nil)},
		{"a PEM with noise in it", seal.RuleFormat, armour("CERTIFICATE", []byte("noise"))},
		{"two certificates", seal.RuleSeveral, append(bytes.Clone(certPEM), certPEM...)},
		{"two certificates in DER", seal.RuleSeveral, append(bytes.Clone(rsaCert.Raw), rsaCert.Raw...)},
		{"an EC key", seal.RuleAlgorithm, selfSign(t, ecKey, day(2026, 1, 1), day(2027, 1, 1)).Raw},
		{"an Ed25519 key", seal.RuleAlgorithm, selfSign(t, edKey, day(2026, 1, 1), day(2027, 1, 1)).Raw},
		{"an exponent of 1, which seals nothing", seal.RuleKey, withExponent(t, rsaCert, rsaKey, 1)},
		{"an even exponent", seal.RuleKey, withExponent(t, rsaCert, rsaKey, 65536)},
		{"a PKCS #8 key", seal.RulePrivateKey, pkcs8},
		{"a PKCS #1 key", seal.RulePrivateKey, x509.MarshalPKCS1PrivateKey(rsaKey)},
		{"a SEC 1 key", seal.RulePrivateKey, must(x509.MarshalECPrivateKey(ecKey))},
		{"an EC key in PKCS #8", seal.RulePrivateKey, must(x509.MarshalPKCS8PrivateKey(ecKey))},
		{"an encrypted key", seal.RulePrivateKey, encryptedPKCS8()},
		{"a PKCS #12 file", seal.RulePrivateKey, pkcs12()},
		{"a key in PEM", seal.RulePrivateKey, armour("PRIVATE KEY", pkcs8)},
		{"an OpenSSH key", seal.RulePrivateKey, armour("OPENSSH PRIVATE KEY", []byte("openssh-key-v1"))},
		{"a key under another name", seal.RulePrivateKey, armour("CERTIFICATE", pkcs8)},
		{"a certificate and its key", seal.RulePrivateKey, append(bytes.Clone(certPEM), armour("PRIVATE KEY", pkcs8)...)},
		{"a key and its certificate", seal.RulePrivateKey, append(armour("RSA PRIVATE KEY", pkcs8), certPEM...)},
		{"a key in broken PEM", seal.RulePrivateKey, bytes.ReplaceAll(armour("PRIVATE KEY", pkcs8), []byte("M"), []byte("*"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := base64.StdEncoding.EncodeToString(c.content)
			_, err := seal.ParseCertificate(text)
			saysNothing(t, refused(t, err, c.rule), text, string(c.content))
		})
	}
}

// What is not base64 at all is refused too, with the remedy where it is known.
func TestRefusalsOfPlainText(t *testing.T) {
	t.Parallel()
	cert, key := newCertificate(t, 2048)
	keyPEM := string(armour("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))))
	for _, c := range []struct{ name, rule, text, says string }{
		{"PEM as it is", seal.RuleFormat, string(armour("CERTIFICATE", cert.Raw)), "PEM as it stands"},
		{"a private key", seal.RulePrivateKey, keyPEM, "private key"},
		{"words", seal.RuleFormat, "not base64!", "not base64"},
		{"base64 for URLs", seal.RuleFormat, base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 300)), "not base64"},
		{"too much", seal.RuleFormat, strings.Repeat("A", 1<<20), "longer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := seal.ParseCertificate(c.text)
			refusal := refused(t, err, c.rule)
			if !strings.Contains(refusal.Error(), c.says) {
				t.Errorf("%q does not say %q", refusal.Error(), c.says)
			}
			saysNothing(t, refusal, c.text)
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	_, key := newCertificate(t, 2048)
	from, to := day(2026, 1, 1), day(2026, 12, 31)
	parsed, err := seal.ParseCertificate(base64.StdEncoding.EncodeToString(selfSign(t, key, from, to).Raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now    time.Time
		reason heliograph.Reason
	}{
		{from.Add(-time.Second), seal.NotYetValid},
		{from, ""},
		{to.AddDate(0, 0, -30), ""},
		{to.AddDate(0, 0, -30).Add(time.Second), seal.Expiring},
		{to, seal.Expiring},
		{to.Add(time.Second), seal.Expired},
	} {
		var reason heliograph.Reason
		if warnings := parsed.Warnings(c.now); len(warnings) > 0 {
			reason = warnings[0].Reason
		}
		if reason != c.reason {
			t.Errorf("at %s: %q, want %q", c.now, reason, c.reason)
		}
	}
	// Expired or not, it seals (issue: accepted, with a warning).
	if _, err := parsed.AppendContent(nil, "id", []byte("{}")); err != nil {
		t.Error(err)
	}
}

func FuzzParseCertificate(f *testing.F) {
	cert, key := newCertificate(f, 2048)
	f.Add(cert.Raw)
	f.Add(armour("CERTIFICATE", cert.Raw))
	f.Add(must(x509.MarshalPKCS8PrivateKey(key)))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, text := range []string{base64.StdEncoding.EncodeToString(content), string(content)} {
			parsed, err := seal.ParseCertificate(text)
			if err == nil {
				if _, err := parsed.AppendContent(nil, "", content); err != nil {
					t.Error("accepted, and cannot seal:", err)
				}
				continue
			}
			if _, ok := errors.AsType[*seal.Refusal](err); !ok {
				t.Errorf("%T: %v", err, err)
			}
		}
	})
}

func refused(t *testing.T, err error, rule string) *seal.Refusal {
	t.Helper()
	var refusal *seal.Refusal
	var told *heliograph.Error
	if !errors.As(err, &refusal) || !errors.As(err, &told) {
		t.Fatalf("got %v, want a refusal by %s", err, rule)
	}
	if refusal.Rule != rule || told.Rule != rule || told.Kind != heliograph.Invalid {
		t.Fatalf("refused by %s as %s: %v; want %s", refusal.Rule, told.Kind, err, rule)
	}
	if !strings.HasPrefix(told.Message, "Certificate validation error: Cannot find the requested object.") { // contract 5.23
		t.Errorf("the message begins otherwise: %s", told.Message)
	}
	return refusal
}

// saysNothing checks that no piece of a refused text is in what is said about it.
func saysNothing(t *testing.T, refusal *seal.Refusal, texts ...string) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %q", refusal, refusal.Args, errors.Unwrap(refusal))
	for _, text := range texts {
		const piece = 24
		for i := 0; i+piece <= len(text); i += piece / 2 {
			if strings.Contains(said, text[i:i+piece]) {
				t.Fatalf("%q is in %s", text[i:i+piece], said)
			}
		}
	}
}

func armour(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func encryptedPKCS8() []byte {
	type algorithm struct{ ID asn1.ObjectIdentifier }
	return must(asn1.Marshal(struct {
		Algorithm algorithm
		Sealed    []byte
	}{algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}}, []byte("sealed")}))
}

func pkcs12() []byte {
	type content struct{ ID asn1.ObjectIdentifier }
	return must(asn1.Marshal(struct {
		Version int
		Content content
	}{3, content{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}}}))
}

// ofSize returns a certificate of a key of that size to which nobody has the other half.
func ofSize(t *testing.T, issuer *x509.Certificate, issuerKey *rsa.PrivateKey, bits int) []byte {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(3), uint(bits-2))
	public := &rsa.PublicKey{N: n.Add(n, big.NewInt(12345)), E: 65537}
	return must(x509.CreateCertificate(rand.Reader, issuer, issuer, public, issuerKey))
}

// withExponent returns a certificate of the key with another public exponent.
func withExponent(t *testing.T, cert *x509.Certificate, key *rsa.PrivateKey, exponent int) []byte {
	t.Helper()
	public := &rsa.PublicKey{N: key.N, E: exponent}
	return must(x509.CreateCertificate(rand.Reader, cert, cert, public, key))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
