package receiver

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // senders name certificates by SHA-1 and wrap keys with OAEP and SHA-1; neither needs collision resistance
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Why content cannot be decrypted.
var (
	// ErrNoKey means that there is no key for the certificate that sealed the content. It may come: a rotation that
	// is under way.
	ErrNoKey = errors.New("no key for this certificate")
	// ErrWrongKey means that the key is not the one of the certificate that sealed the content, or that the content
	// was changed.
	ErrWrongKey = errors.New("the key does not unwrap the content's key")
	// ErrSignature means that the content is not what was sealed.
	ErrSignature = errors.New("the content's signature does not fit")
	// ErrMalformed means that the content is not in the documented form.
	ErrMalformed = errors.New("the content is malformed")
)

// EncryptedContent is the sealed resource of a notification. Data, DataKey and DataSignature are base64.
type EncryptedContent struct {
	Data                            string `json:"data"`
	DataSignature                   string `json:"dataSignature"`
	DataKey                         string `json:"dataKey"`
	EncryptionCertificateID         string `json:"encryptionCertificateId"`
	EncryptionCertificateThumbprint string `json:"encryptionCertificateThumbprint"`
}

// Decrypt opens sealed content with the private key of the certificate that it was sealed for, which an *rsa.PrivateKey
// is, and a key in an HSM may be. The content is proven whole before it is decrypted, in constant time.
//
// The errors are ErrWrongKey, ErrSignature and ErrMalformed. Do not tell them to the sender: which of them it was is
// for your eyes only.
func Decrypt(c *EncryptedContent, key crypto.Decrypter) ([]byte, error) {
	wrapped, errKey := decode(c.DataKey)
	data, errData := decode(c.Data)
	signature, errSignature := decode(c.DataSignature)
	if err := errors.Join(errKey, errData, errSignature); err != nil {
		return nil, fmt.Errorf("%w: not base64", ErrMalformed)
	}
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: %d bytes are no whole blocks", ErrMalformed, len(data))
	}
	symmetric, err := key.Decrypt(rand.Reader, wrapped, &rsa.OAEPOptions{Hash: crypto.SHA1})
	if err != nil {
		return nil, ErrWrongKey // the cause says nothing more, and must not
	}
	defer clear(symmetric)
	mac := hmac.New(sha256.New, symmetric)
	mac.Write(data)
	if !hmac.Equal(mac.Sum(nil), signature) {
		return nil, ErrSignature
	}
	block, err := aes.NewCipher(symmetric) // AES-128, -192 or -256: the sender's choice
	if err != nil {
		return nil, fmt.Errorf("%w: a key of %d bytes", ErrMalformed, len(symmetric))
	}
	cipher.NewCBCDecrypter(block, symmetric[:aes.BlockSize]).CryptBlocks(data, data)
	return unpad(data)
}

// decode reads base64 in the one way in which it is written: content that was touched anywhere must not pass.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, ErrMalformed
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

// unpad takes off the padding of PKCS #7. The signature was checked: it is as the sender made it.
func unpad(data []byte) ([]byte, error) {
	n := int(data[len(data)-1])
	if n < 1 || n > aes.BlockSize {
		return nil, fmt.Errorf("%w: its padding", ErrMalformed)
	}
	for _, b := range data[len(data)-n:] {
		if int(b) != n {
			return nil, fmt.Errorf("%w: its padding", ErrMalformed)
		}
	}
	return data[:len(data)-n], nil
}

// Keys holds private keys by the encryptionCertificateId of their certificates. The zero value is empty and ready.
type Keys struct {
	mu   sync.RWMutex
	byID map[string]heldKey
}

type heldKey struct {
	key        crypto.Decrypter
	thumbprint string // of the certificate, when it is known
}

// Add adds a key, or replaces the one of the same id. certificate may be nil; when it is not, it must be the key's,
// and content that names another certificate under this id is refused.
func (k *Keys) Add(id string, certificate *x509.Certificate, key crypto.Decrypter) error {
	public, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("add key %q: it is not RSA", id)
	}
	held := heldKey{key: key}
	if certificate != nil {
		if !public.Equal(certificate.PublicKey) {
			return fmt.Errorf("add key %q: it is not the key of that certificate", id)
		}
		held.thumbprint = thumbprint(certificate)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID == nil {
		k.byID = map[string]heldKey{}
	}
	k.byID[id] = held
	return nil
}

// AddPEM is Add for a certificate and its private key (PKCS #8 or PKCS #1) in PEM. certificatePEM may be nil.
func (k *Keys) AddPEM(id string, certificatePEM, keyPEM []byte) error {
	key, err := parseKey(keyPEM)
	if err != nil {
		return fmt.Errorf("add key %q: %w", id, err)
	}
	if len(certificatePEM) == 0 {
		return k.Add(id, nil, key)
	}
	block, _ := pem.Decode(certificatePEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return fmt.Errorf("add key %q: the certificate is not in PEM", id)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("add key %q: the certificate: %w", id, err)
	}
	return k.Add(id, certificate, key)
}

// Remove takes a key out.
func (k *Keys) Remove(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byID, id)
}

// Decrypt opens content with the key that it names. The error is ErrNoKey when there is none.
func (k *Keys) Decrypt(c *EncryptedContent) ([]byte, error) {
	k.mu.RLock()
	held, ok := k.byID[c.EncryptionCertificateID]
	k.mu.RUnlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %q", ErrNoKey, c.EncryptionCertificateID)
	case held.thumbprint != "" && !strings.EqualFold(held.thumbprint, c.EncryptionCertificateThumbprint):
		return nil, fmt.Errorf("%w: %q names a certificate with the thumbprint %q here and %q there",
			ErrNoKey, c.EncryptionCertificateID, held.thumbprint, c.EncryptionCertificateThumbprint)
	}
	return Decrypt(c, held.key)
}

// parseKey reads an RSA key. Its errors repeat nothing of it.
func parseKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the private key is not in PEM")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if key, ok := parsed.(*rsa.PrivateKey); ok && err == nil {
			return key, nil
		}
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the private key is encrypted: decrypt it first")
	}
	return nil, errors.New("the private key is not RSA in PKCS #8 or PKCS #1")
}

func thumbprint(certificate *x509.Certificate) string {
	sum := sha1.Sum(certificate.Raw) //nolint:gosec // see the import
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
