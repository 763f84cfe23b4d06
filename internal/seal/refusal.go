package seal

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"maps"
	"strconv"
	"strings"

	"heliograph.dev"
)

// The rules that a certificate can break, with the arguments that their texts need.
const (
	RuleFormat     = "create.certificate.format"      // not one X.509 certificate; {detail}
	RulePrivateKey = "create.certificate.private_key" // a private key, or a file that may hold one
	RuleSeveral    = "create.certificate.several"     // more than one; {count}
	RuleAlgorithm  = "create.certificate.algorithm"   // not RSA; {algorithm}
	RuleSize       = "create.certificate.key_size"    // {bits}, {min}, {max}
	RuleKey        = "create.certificate.key"         // RSA of the right size that cannot be used; {detail}
)

// graphText is how Graph begins (contract 5.23), whatever is wrong.
const graphText = "Certificate validation error: Cannot find the requested object."

// Refusal says why a certificate will not do. It unwraps to the *heliograph.Error that a caller is told by default.
type Refusal struct {
	Rule string
	// Args fill the rule's text in a catalog profile. They hold nothing of the refused text.
	Args map[string]string

	err *heliograph.Error
}

// Error returns the default text.
func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap returns the *heliograph.Error.
func (r *Refusal) Unwrap() error { return r.err }

func refuse(rule, detail string, args map[string]string) error {
	all := map[string]string{"detail": detail}
	maps.Copy(all, args)
	return &Refusal{Rule: rule, Args: all, err: &heliograph.Error{
		Kind: heliograph.Invalid, Rule: rule, Code: "ValidationError", Message: graphText + " " + detail,
	}}
}

func refusePrivateKey() error {
	return refuse(RulePrivateKey, "It holds a private key. Send the certificate alone, and replace that key: it has left your hands.", nil)
}

func refuseSeveral(count int) error {
	n := strconv.Itoa(count)
	return refuse(RuleSeveral, "It holds "+n+" certificates: send the one whose key decrypts.", map[string]string{"count": n})
}

func refuseAlgorithm(a x509.PublicKeyAlgorithm) error {
	name := a.String()
	if a == x509.UnknownPublicKeyAlgorithm {
		name = "unknown"
	}
	return refuse(RuleAlgorithm, "Its key is not RSA ("+name+").", map[string]string{"algorithm": name})
}

func refuseSize(bits int) error {
	args := map[string]string{"bits": strconv.Itoa(bits), "min": strconv.Itoa(minBits), "max": strconv.Itoa(maxBits)}
	return refuse(RuleSize, "Its RSA key has "+args["bits"]+" bits; "+args["min"]+" to "+args["max"]+" are supported.", args)
}

// isNot says what DER that is no certificate is instead, when that can be told.
func isNot(der []byte) string {
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return "It is a certificate request: send the certificate that was made from it."
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return "It is a bare public key: send a certificate, a self-signed one will do."
	}
	if _, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return "It is a bare public key: send a certificate, a self-signed one will do."
	}
	return "It is not base64 of an X.509 certificate in DER or PEM."
}

// holdsPrivateKey reports whether a PEM text has a private key in it, also where a line of it is broken.
func holdsPrivateKey(text []byte) bool {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		return true
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.Contains(block.Type, "PRIVATE") || isPrivateKey(block.Bytes) {
			return true
		}
	}
	return false
}

// isPrivateKey reports whether DER is a private key or a container that is made to hold one. It goes by the outer
// form, not by whether the key is sound: a damaged key is a secret too.
func isPrivateKey(der []byte) bool {
	var outer, first, second asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil || outer.Tag != asn1.TagSequence {
		return false
	}
	rest, err := asn1.Unmarshal(outer.Bytes, &first)
	if err != nil {
		return false
	}
	if _, err := asn1.Unmarshal(rest, &second); err != nil {
		return false
	}
	if first.Tag == asn1.TagSequence { // encrypted PKCS #8 {algorithm, OCTET STRING}
		return second.Tag == asn1.TagOctetString
	}
	// The others begin with a small version, which neither a certificate nor a public key does: PKCS #1 and DSA
	// {0|1, number…}, SEC 1 {1, OCTET STRING…}, PKCS #8 {0|1, algorithm…}, PKCS #12 {3, content…}.
	return first.Tag == asn1.TagInteger && len(first.Bytes) == 1 && second.Tag != asn1.TagBitString
}
