package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"heliograph.dev/internal/seal"
)

// BenchmarkAgainstBare seals items and does the bare primitives of the same sizes, turn by turn, so that whatever
// else the machine does hits both alike. of_bare is our rate divided by theirs.
func BenchmarkAgainstBare(b *testing.B) {
	each(b, func(b *testing.B, certificate *seal.Certificate, public *rsa.PublicKey, plaintext []byte) {
		b.Helper()
		var dst []byte
		var ours, bare time.Duration
		for b.Loop() {
			start := b.Elapsed()
			dst = sealed(b, certificate, dst[:0], plaintext)
			between := b.Elapsed()
			primitives(b, public, plaintext)
			ours, bare = ours+between-start, bare+b.Elapsed()-between
		}
		b.ReportMetric(bare.Seconds()/ours.Seconds(), "of_bare")
		b.ReportMetric(float64(b.N)/ours.Seconds(), "items/s")
	})
}

// BenchmarkAppendContent is sealing alone: time and allocations for one item.
func BenchmarkAppendContent(b *testing.B) {
	each(b, func(b *testing.B, certificate *seal.Certificate, _ *rsa.PublicKey, plaintext []byte) {
		b.Helper()
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = sealed(b, certificate, dst[:0], plaintext)
		}
	})
}

// BenchmarkBare is the primitives alone.
func BenchmarkBare(b *testing.B) {
	each(b, func(b *testing.B, _ *seal.Certificate, public *rsa.PublicKey, plaintext []byte) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			primitives(b, public, plaintext)
		}
	})
}

func each(b *testing.B, run func(*testing.B, *seal.Certificate, *rsa.PublicKey, []byte)) {
	b.Helper()
	for _, bits := range []int{2048, 4096} {
		cert, key := newCertificate(b, bits)
		certificate, err := seal.ParseCertificate(base64.StdEncoding.EncodeToString(cert.Raw))
		if err != nil {
			b.Fatal(err)
		}
		for _, size := range []int{256, 2 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%d-bit/%dB", bits, size), func(b *testing.B) {
				run(b, certificate, &key.PublicKey, make([]byte, size))
			})
		}
	}
}

func sealed(b *testing.B, certificate *seal.Certificate, dst, plaintext []byte) []byte {
	b.Helper()
	dst, err := certificate.AppendContent(dst, "certificate-2026", plaintext)
	if err != nil {
		b.Fatal(err)
	}
	return dst
}

// primitives is what sealing cannot do without: an RSA-OAEP, an AES-256-CBC and an HMAC-SHA256. Not even the key is
// fresh.
func primitives(b *testing.B, public *rsa.PublicKey, plaintext []byte) {
	b.Helper()
	key := make([]byte, 32)
	if _, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, key, nil); err != nil {
		b.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		b.Fatal(err)
	}
	ciphertext := make([]byte, len(plaintext)+aes.BlockSize-len(plaintext)%aes.BlockSize)
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(ciphertext, ciphertext)
	mac := hmac.New(sha256.New, key)
	mac.Write(ciphertext)
	mac.Sum(nil)
}
