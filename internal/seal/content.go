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
	"sync"
)

const (
	keySize = 32
	// keptScratch is the largest buffer that is kept for the next item: a few large ones must not stay for ever.
	keptScratch = 256 << 10
	// overhead is about what encryptedContent has besides data: names, dataKey of the largest key, signature, id.
	overhead = 1 << 10
)

// scratch is what sealing one item needs, taken from a pool. The ciphertext is no secret, the key is: it is wiped.
type scratch struct {
	key    [keySize]byte
	last   [aes.BlockSize]byte // the plaintext's end and its padding
	sum    [sha256.Size]byte
	cipher []byte
}

// scratches is a pool in a variable because a pool has no other use than to be shared.
var scratches = sync.Pool{New: func() any { return new(scratch) }} //nolint:gochecknoglobals // see above

// AppendContent seals plaintext and appends the JSON object of an item's encryptedContent to dst. id is the
// encryptionCertificateId as the subscriber gave it. On an error dst is returned as it was.
func (c *Certificate) AppendContent(dst []byte, id string, plaintext []byte) ([]byte, error) {
	s, _ := scratches.Get().(*scratch) //nolint:errcheck // the pool holds nothing else
	defer s.release()
	_, _ = rand.Read(s.key[:]) // never fails: crypto/rand ends the program instead
	dataKey, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, c.key, s.key[:], nil) //nolint:gosec // see the import
	if err != nil {
		return dst, fmt.Errorf("wrap the item's key: %w", err)
	}
	if err := s.encrypt(plaintext); err != nil {
		return dst, err
	}
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(s.cipher)

	dst = slices.Grow(dst, base64.StdEncoding.EncodedLen(len(s.cipher))+overhead+len(id))
	dst = base64.StdEncoding.AppendEncode(append(dst, `{"data":"`...), s.cipher)
	dst = base64.StdEncoding.AppendEncode(append(dst, `","dataSignature":"`...), mac.Sum(s.sum[:0]))
	dst = base64.StdEncoding.AppendEncode(append(dst, `","dataKey":"`...), dataKey)
	dst = appendString(append(dst, `","encryptionCertificateId":`...), id)
	dst = append(append(dst, `,"encryptionCertificateThumbprint":"`...), c.thumbprint...)
	return append(dst, `"}`...), nil
}

// encrypt fills s.cipher. Whole blocks go straight from the plaintext into it, so that no copy of the plaintext is
// left in a pooled buffer.
func (s *scratch) encrypt(plaintext []byte) error {
	block, err := aes.NewCipher(s.key[:])
	if err != nil {
		return fmt.Errorf("make the item's cipher: %w", err)
	}
	whole := len(plaintext) - len(plaintext)%aes.BlockSize
	size := whole + aes.BlockSize
	s.cipher = slices.Grow(s.cipher[:0], size)[:size]
	padding := size - len(plaintext)
	for i := copy(s.last[:], plaintext[whole:]); i < aes.BlockSize; i++ {
		s.last[i] = byte(padding) //nolint:gosec // 1 to 16
	}
	cbc := cipher.NewCBCEncrypter(block, s.key[:aes.BlockSize])
	cbc.CryptBlocks(s.cipher[:whole], plaintext[:whole])
	cbc.CryptBlocks(s.cipher[whole:], s.last[:])
	return nil
}

// release wipes what is secret and gives the rest to the next item.
func (s *scratch) release() {
	clear(s.key[:])
	clear(s.last[:])
	if cap(s.cipher) > keptScratch {
		s.cipher = nil
	}
	scratches.Put(s)
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
