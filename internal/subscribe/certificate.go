package subscribe

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Bounds of the key in bits (contract 13.8).
const minKey, maxKey = 2048, 4096

// checkCertificate reads an encryptionCertificate: base64 of DER or of PEM (contract 13.9). Who issued it and
// for how long does not matter; that it has an RSA key does, because that is what seals. The errors hold
// nothing of the text, which may be a private key sent by mistake.
func checkCertificate(text string) error {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return errors.New("it is not base64")
	}
	if block, _ := pem.Decode(der); block != nil {
		if block.Type != "CERTIFICATE" {
			return errors.New("the PEM text holds no certificate")
		}
		der = block.Bytes
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return errors.New("it is not an X.509 certificate")
	}
	key, ok := parsed.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("its key is not an RSA key")
	}
	if n := key.N.BitLen(); n < minKey || n > maxKey {
		return fmt.Errorf("its key has %d bits, not %d to %d", n, minKey, maxKey)
	}
	return nil
}
