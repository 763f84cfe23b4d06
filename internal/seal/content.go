package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // OAEP with SHA-1 is what Graph's receivers expect (contract 13.5); it needs no collision resistance
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
)

const (
	keySize = 32
	// overhead is about what encryptedContent has besides data: names, dataKey of the largest key, signature.
	overhead = 1 << 10
)

// secrets is what must not outlive the sealing of an item, in one piece so that it is allocated and wiped once.
type secrets struct {
	key  [keySize]byte
	last [aes.BlockSize]byte // the plaintext's end with its padding
}

// AppendContent seals plaintext and appends the JSON object of an item's encryptedContent to dst. id is the
// encryptionCertificateId as the subscriber gave it. On an error dst is returned as it was.
//
// It wants a dst that is used again and again: dst's spare capacity is its working space too, in which nothing but
// ciphertext is left behind.
func (c *Certificate) AppendContent(dst []byte, id string, plaintext []byte) ([]byte, error) {
	s := new(secrets)
	defer func() { *s = secrets{} }()
	_, _ = rand.Read(s.key[:])                                                     // never fails: crypto/rand ends the program instead
	dataKey, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, c.key, s.key[:], nil) //nolint:gosec // see the import
	if err != nil {
		return dst, fmt.Errorf("wrap the item's key: %w", err)
	}
	block, err := aes.NewCipher(s.key[:])
	if err != nil {
		return dst, fmt.Errorf("make the item's cipher: %w", err)
	}

	size := len(plaintext) - len(plaintext)%aes.BlockSize + aes.BlockSize
	text := base64.StdEncoding.EncodedLen(size) + overhead + len(id)
	dst = slices.Grow(dst, text+size)
	sealed := dst[len(dst)+text : len(dst)+text+size] // behind what will be written
	s.encrypt(sealed, block, plaintext)
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(sealed)

	dst = base64.StdEncoding.AppendEncode(append(dst, `{"data":"`...), sealed)
	dst = base64.StdEncoding.AppendEncode(append(dst, `","dataSignature":"`...), mac.Sum(nil))
	dst = base64.StdEncoding.AppendEncode(append(dst, `","dataKey":"`...), dataKey)
	dst = appendString(append(dst, `","encryptionCertificateId":`...), id)
	dst = append(append(dst, `,"encryptionCertificateThumbprint":"`...), c.thumbprint...)
	return append(dst, `"}`...), nil
}

// encrypt writes the ciphertext. Whole blocks go straight from the plaintext into it: no copy of the plaintext is
// made but for its last bytes.
func (s *secrets) encrypt(to []byte, block cipher.Block, plaintext []byte) {
	whole := len(to) - aes.BlockSize
	padding := len(to) - len(plaintext)
	for i := copy(s.last[:], plaintext[whole:]); i < aes.BlockSize; i++ {
		s.last[i] = byte(padding) //nolint:gosec // 1 to 16
	}
	cbc := cipher.NewCBCEncrypter(block, s.key[:aes.BlockSize])
	cbc.CryptBlocks(to[:whole], plaintext[:whole])
	cbc.CryptBlocks(to[whole:], s.last[:])
}

// appendString appends a JSON string. Nearly every id needs no escaping.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) //nolint:errchkjson // a string always can
			return append(dst, quoted...)
		}
	}
	dst = append(append(dst, '"'), s...)
	return append(dst, '"')
}
