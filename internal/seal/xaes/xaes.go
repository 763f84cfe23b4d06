// Package xaes is XAES-256-GCM (C2SP, version 1): AES-256-GCM with nonces of 24 bytes.
//
// AES-GCM's own nonces are so short that random ones may be used for about four billion messages under a key, which a
// busy change log reaches in weeks, and a counter in their place repeats itself when a machine is restored from a
// snapshot. Here the first half of a long random nonce selects a key of its own for the message, by AES-CMAC as NIST
// SP 800-108 has it, and AES-256-GCM seals under that key with the second half. All of it is made of the standard
// library's AES.
package xaes

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// The sizes, in bytes.
const (
	KeySize   = 32
	NonceSize = 24
	Overhead  = 16

	half = NonceSize / 2
)

// AEAD seals under one key. It may be used concurrently.
type AEAD struct {
	block cipher.Block
	mask  [aes.BlockSize]byte // the first subkey of CMAC
}

// New returns the AEAD of a key of 32 bytes.
func New(key []byte) (*AEAD, error) {
	if len(key) != KeySize {
		return nil, errors.New("xaes: a key has 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	a := &AEAD{block: block}
	block.Encrypt(a.mask[:], a.mask[:])
	var carry byte
	for i := len(a.mask) - 1; i >= 0; i-- { // doubling in GF(2¹²⁸)
		a.mask[i], carry = a.mask[i]<<1|carry, a.mask[i]>>7
	}
	a.mask[len(a.mask)-1] ^= carry * 0b1000_0111
	return a, nil
}

// derive returns AES-256-GCM under the key that a nonce selects.
func (a *AEAD) derive(nonce []byte) (cipher.AEAD, error) {
	var key [KeySize]byte
	for i := range 2 {
		one := key[i*aes.BlockSize:][:aes.BlockSize]
		copy(one, []byte{0, byte(i + 1), 'X', 0})
		copy(one[4:], nonce[:half])
		for j, m := range a.mask {
			one[j] ^= m
		}
		a.block.Encrypt(one, one)
	}
	defer clear(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal appends the sealed plaintext to dst. The nonce must be random, of 24 bytes.
func (a *AEAD) Seal(dst, nonce, plaintext, additional []byte) ([]byte, error) {
	if len(nonce) != NonceSize {
		return dst, errors.New("xaes: a nonce has 24 bytes")
	}
	gcm, err := a.derive(nonce)
	if err != nil {
		return dst, err
	}
	return gcm.Seal(dst, nonce[half:], plaintext, additional), nil
}

// Open appends to dst what was sealed, or fails when a bit of anything has changed.
func (a *AEAD) Open(dst, nonce, sealed, additional []byte) ([]byte, error) {
	if len(nonce) != NonceSize {
		return dst, errors.New("xaes: a nonce has 24 bytes")
	}
	gcm, err := a.derive(nonce)
	if err != nil {
		return dst, err
	}
	return gcm.Open(dst, nonce[half:], sealed, additional)
}
