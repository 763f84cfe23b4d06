package receiver_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"heliograph.dev/receiver"
)

// opensslSizes are around the ends of blocks, and as large as a notification may be.
func opensslSizes() []int { return []int{0, 1, 15, 16, 17, 31, 32, 2048, 1<<20 + 7, 4 << 20} }

// What the openssl command seals opens here, up to 4 MB.
func TestOpensWhatOpenSSLSealed(t *testing.T) { // contract 13.2 to 13.6
	t.Parallel()
	o := newOpenSSL(t)
	keys := committedKeys(t)
	for _, bits := range []string{"2048", "3072", "4096"} {
		for _, size := range opensslSizes() {
			text := plaintext(size)
			opened, err := keys.Decrypt(o.seal(bits, text))
			if err != nil || !bytes.Equal(opened, text) {
				t.Errorf("%s bits, %d bytes: opened as %d bytes, %v", bits, size, len(opened), err)
			}
		}
	}
}

// What Heliograph seals is opened by the openssl command, up to 4 MB.
func TestOpenSSLOpensWhatWeSealed(t *testing.T) { // contract 13.2 to 13.6
	t.Parallel()
	o := newOpenSSL(t)
	for _, bits := range []string{"2048", "3072", "4096"} {
		for _, size := range opensslSizes() {
			text := plaintext(size)
			if opened := o.open(bits, sealed(t, bits, text)); !bytes.Equal(opened, text) {
				t.Errorf("%s bits, %d bytes: opened as %d bytes", bits, size, len(opened))
			}
		}
	}
}

// openSSL seals and opens by the openssl command, with nothing of ours.
type openSSL struct {
	t    *testing.T
	path string
	dir  string
}

func newOpenSSL(t *testing.T) *openSSL {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl on this machine: what it sealed before is in testdata")
	}
	return &openSSL{t, path, t.TempDir()}
}

func (o *openSSL) seal(bits string, text []byte) *receiver.EncryptedContent {
	o.t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	cert := o.committed(bits + ".cert.pem")
	data := o.run(text, "enc", "-aes-256-cbc", "-K", hex.EncodeToString(key), "-iv", hex.EncodeToString(key[:16]))
	fingerprint := strings.TrimSpace(string(o.run(nil, "x509", "-in", cert, "-noout", "-fingerprint", "-sha1")))
	_, thumbprint, _ := strings.Cut(fingerprint, "=")
	return &receiver.EncryptedContent{
		Data:                            base64.StdEncoding.EncodeToString(data),
		DataSignature:                   base64.StdEncoding.EncodeToString(o.sign(key, data)),
		DataKey:                         base64.StdEncoding.EncodeToString(o.oaep("-encrypt", "-certin", "-inkey", cert, "-in", o.file("key", key))),
		EncryptionCertificateID:         bits,
		EncryptionCertificateThumbprint: strings.ReplaceAll(thumbprint, ":", ""),
	}
}

func (o *openSSL) open(bits string, c *receiver.EncryptedContent) []byte {
	o.t.Helper()
	raw := func(text string) []byte { return must(base64.StdEncoding.DecodeString(text)) }
	key := o.oaep("-decrypt", "-inkey", o.committed(bits+".key.pem"), "-in", o.file("wrapped", raw(c.DataKey)))
	data := raw(c.Data)
	if !bytes.Equal(o.sign(key, data), raw(c.DataSignature)) {
		o.t.Fatal("the signature does not fit")
	}
	return o.run(data, "enc", "-d", "-aes-256-cbc", "-K", hex.EncodeToString(key), "-iv", hex.EncodeToString(key[:16]))
}

func (o *openSSL) sign(key, data []byte) []byte {
	o.t.Helper()
	return o.run(data, "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString(key), "-binary")
}

func (o *openSSL) oaep(args ...string) []byte {
	o.t.Helper()
	args = append([]string{"pkeyutl"}, args...)
	return o.run(nil, append(args, "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1", "-pkeyopt", "rsa_mgf1_md:sha1")...)
}

func (o *openSSL) committed(name string) string { return filepath.Join("testdata", "keys", name) }

// file holds content that the command does not read from its input.
func (o *openSSL) file(name string, content []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

func (o *openSSL) run(in []byte, args ...string) []byte {
	o.t.Helper()
	command := exec.CommandContext(o.t.Context(), o.path, args...)
	var said bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(in), &said
	out, err := command.Output()
	if err != nil {
		o.t.Fatal(fmt.Sprint(args[0], ": ", err, ": ", said.String()))
	}
	return out
}
