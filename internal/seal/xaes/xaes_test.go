package xaes_test

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"testing"

	"heliograph.dev/internal/seal/xaes"
)

// The vectors that C2SP publishes for XAES-256-GCM: one for each value of the bit that is carried when the subkey is
// made.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key        byte
		additional string
		want       string
	}{
		{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		a := aead(t, bytes.Repeat([]byte{c.key}, xaes.KeySize))
		nonce, plaintext := []byte("ABCDEFGHIJKLMNOPQRSTUVWX"), []byte("XAES-256-GCM")
		sealed, err := a.Seal(nil, nonce, plaintext, []byte(c.additional))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(sealed); got != c.want {
			t.Errorf("sealed as %s, want %s", got, c.want)
		}
		opened, err := a.Open(nil, nonce, sealed, []byte(c.additional))
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Errorf("opened as %q, %v", opened, err)
		}
	}
}

// Ten thousand keys, nonces and lengths in one sum, as C2SP publishes it.
func TestAccumulatedVectors(t *testing.T) {
	t.Parallel()
	random, sum := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b) // never fails
		return b
	}
	for range 10_000 {
		a := aead(t, read(xaes.KeySize))
		nonce := read(xaes.NonceSize)
		plaintext := read(int(read(1)[0]))
		additional := read(int(read(1)[0]))
		sealed, err := a.Seal(nil, nonce, plaintext, additional)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = sum.Write(sealed) // never fails
		opened, err := a.Open(nil, nonce, sealed, additional)
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Fatal("does not open:", err)
		}
	}
	got := make([]byte, 32)
	_, _ = sum.Read(got) // never fails
	if want := "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"; hex.EncodeToString(got) != want {
		t.Errorf("the sum is %x, want %s", got, want)
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	if _, err := xaes.New(make([]byte, 16)); err == nil {
		t.Error("a key of 16 bytes")
	}
	a := aead(t, make([]byte, xaes.KeySize))
	if _, err := a.Seal(nil, make([]byte, 12), nil, nil); err == nil {
		t.Error("sealed under a short nonce")
	}
	if _, err := a.Open(nil, make([]byte, 12), make([]byte, 16), nil); err == nil {
		t.Error("opened under a short nonce")
	}
}

func aead(t *testing.T, key []byte) *xaes.AEAD {
	t.Helper()
	a, err := xaes.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
