package receiver_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"heliograph.dev/receiver"
)

// vector is a known answer: content that somebody else sealed.
type vector struct {
	Bits    int                       `json:"bits"`
	Size    int                       `json:"size"`
	Content receiver.EncryptedContent `json:"content"`
}

// The vectors were made by testdata/vectors.mjs (node:crypto) and testdata/vectors.sh (OpenSSL).
func TestKnownAnswers(t *testing.T) { // contract 13.1 to 13.6
	t.Parallel()
	for _, file := range []string{"vectors.node.json", "vectors.openssl.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			check(t, read(t, "testdata/"+file))
		})
	}
}

// Up to 4 MB, made anew where there is a node.
func TestKnownAnswersOfNode(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node on this machine")
	}
	command := exec.CommandContext(t.Context(), node, "vectors.mjs", "large")
	command.Dir, command.Stderr = "testdata", os.Stderr
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	check(t, text)
}

func check(t *testing.T, text []byte) {
	t.Helper()
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) == 0 {
		t.Fatal(len(vectors), err)
	}
	keys := committedKeys(t)
	for _, v := range vectors {
		opened, err := keys.Decrypt(&v.Content)
		if err != nil || !bytes.Equal(opened, plaintext(v.Size)) {
			t.Errorf("%d bits, %d bytes: %d bytes, %v", v.Bits, v.Size, len(opened), err)
		}
	}
}

// Whatever single bit is changed, of the bytes or of the text that they are written in, the content is refused. Of the
// wrapped key, where each try costs an RSA operation, it is one bit of each byte.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	good := sealed(t, "2048", []byte(`{"id":"1","subject":"the quick brown fox"}`))
	var keys receiver.Keys
	cert := must(x509.ParseCertificate(first(pem.Decode(read(t, "testdata/keys/2048.cert.pem"))).Bytes))
	if err := keys.Add("2048", cert, &remembering{PrivateKey: committedKey(t, "2048")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		field  func(*receiver.EncryptedContent) *string
		base64 bool
		step   int
	}{
		{"data", func(c *receiver.EncryptedContent) *string { return &c.Data }, true, 1},
		{"dataSignature", func(c *receiver.EncryptedContent) *string { return &c.DataSignature }, true, 1},
		{"dataKey", func(c *receiver.EncryptedContent) *string { return &c.DataKey }, true, 7},
		{"encryptionCertificateId", func(c *receiver.EncryptedContent) *string { return &c.EncryptionCertificateID }, false, 1},
		{"encryptionCertificateThumbprint", func(c *receiver.EncryptedContent) *string { return &c.EncryptionCertificateThumbprint }, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			was := *c.field(good)
			try := func(text string) {
				t.Helper()
				bad := *good
				*c.field(&bad) = text
				if opened, err := keys.Decrypt(&bad); err == nil {
					t.Fatalf("%q may become %q: %q", was, text, opened)
				}
			}
			for flipped := range flips([]byte(was), c.step) {
				if !strings.EqualFold(string(flipped), was) || c.base64 { // a thumbprint may be in either case
					try(string(flipped))
				}
			}
			if c.base64 {
				for flipped := range flips(must(base64.StdEncoding.DecodeString(was)), c.step) {
					try(base64.StdEncoding.EncodeToString(flipped))
				}
			}
		})
	}
}

// flips yields the bytes with one bit changed: every step-th bit.
func flips(b []byte, step int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for bit := 0; bit < 8*len(b); bit += step {
			flipped := bytes.Clone(b)
			flipped[bit/8] ^= 1 << (bit % 8)
			if !yield(flipped) {
				return
			}
		}
	}
}

// remembering is a key that does the same RSA operation once.
type remembering struct {
	*rsa.PrivateKey

	mu      sync.Mutex
	wrapped []byte
	key     []byte
}

func (r *remembering) Decrypt(random io.Reader, wrapped []byte, o crypto.DecrypterOpts) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.Equal(wrapped, r.wrapped) {
		return bytes.Clone(r.key), nil
	}
	key, err := r.PrivateKey.Decrypt(random, wrapped, o)
	if err == nil {
		r.wrapped, r.key = wrapped, bytes.Clone(key)
	}
	return key, err
}

// Of whatever size the content is, what is cut off, added, changed or taken from another is refused.
func TestTamperedContent(t *testing.T) {
	t.Parallel()
	keys := committedKeys(t)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "plaintext")
		good, other := sealed(t, "2048", text), sealed(t, "2048", text)
		if opened, err := keys.Decrypt(good); err != nil || !bytes.Equal(opened, text) {
			t.Fatalf("opened as %x, %v", opened, err)
		}
		bad := *good
		part := rapid.SampledFrom([]*string{&bad.Data, &bad.DataSignature, &bad.DataKey}).Draw(t, "part")
		raw := must(base64.StdEncoding.DecodeString(*part))
		switch rapid.IntRange(0, 5).Draw(t, "how") {
		case 0:
			raw = raw[:rapid.IntRange(0, len(raw)-1).Draw(t, "left")]
		case 1:
			raw = append(raw, rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "more")...)
		case 2:
			raw[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		case 3: // a part of another notification with the same content
			*part = map[*string]string{&bad.Data: other.Data, &bad.DataSignature: other.DataSignature, &bad.DataKey: other.DataKey}[part]
			raw = must(base64.StdEncoding.DecodeString(*part))
		case 4:
			raw = append(raw, raw...)
		case 5:
			raw = append(make([]byte, 16), raw...)
		}
		*part = base64.StdEncoding.EncodeToString(raw)
		if opened, err := keys.Decrypt(&bad); err == nil {
			t.Fatalf("opened as %x", opened)
		}
	})
}

// Content that is signed as it should be, by somebody who has the certificate, and is wrong inside.
func TestMalformedContent(t *testing.T) {
	t.Parallel()
	key := committedKey(t, "2048")
	symmetric := bytes.Repeat([]byte{7}, 32)
	for name, c := range map[string]struct {
		blocks, key []byte
		want        error
	}{
		"padding of 0":    {make([]byte, 16), symmetric, receiver.ErrMalformed},
		"padding of 17":   {bytes.Repeat([]byte{17}, 32), symmetric, receiver.ErrMalformed},
		"uneven padding":  {append(bytes.Repeat([]byte{9}, 14), 3, 2), symmetric, receiver.ErrMalformed},
		"a short key":     {bytes.Repeat([]byte{16}, 16), symmetric[:8], receiver.ErrMalformed},
		"no key":          {bytes.Repeat([]byte{16}, 16), nil, receiver.ErrMalformed},
		"a key too long":  {bytes.Repeat([]byte{16}, 16), append(symmetric, 0), receiver.ErrMalformed},
		"nothing at all":  {nil, symmetric, receiver.ErrMalformed},
		"not whole":       {make([]byte, 17), symmetric, receiver.ErrMalformed},
		"nothing, padded": {bytes.Repeat([]byte{16}, 16), symmetric, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := bytes.Clone(c.blocks)
			if block, err := aes.NewCipher(c.key); err == nil && len(data)%16 == 0 {
				cipher.NewCBCEncrypter(block, c.key[:16]).CryptBlocks(data, data)
			}
			mac := hmac.New(sha256.New, c.key)
			mac.Write(data)
			content := &receiver.EncryptedContent{
				Data:          base64.StdEncoding.EncodeToString(data),
				DataSignature: base64.StdEncoding.EncodeToString(mac.Sum(nil)),
				DataKey: base64.StdEncoding.EncodeToString(
					must(rsa.EncryptOAEP(sha1.New(), rand.Reader, &key.PublicKey, c.key, nil))),
			}
			opened, err := receiver.Decrypt(content, key)
			if !errors.Is(err, c.want) || len(opened) != 0 {
				t.Errorf("opened as %x, %v", opened, err)
			}
		})
	}
}

func TestWrongKeys(t *testing.T) {
	t.Parallel()
	content := sealed(t, "2048", []byte("{}"))
	if _, err := receiver.Decrypt(content, committedKey(t, "3072")); !errors.Is(err, receiver.ErrWrongKey) {
		t.Error(err)
	}
	// OAEP with SHA-256 is what people try first (clients.md, trap 11).
	key := committedKey(t, "2048")
	content.DataKey = base64.StdEncoding.EncodeToString(
		must(rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, make([]byte, 32), nil)))
	if _, err := receiver.Decrypt(content, key); !errors.Is(err, receiver.ErrWrongKey) {
		t.Error(err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	var keys receiver.Keys
	content := sealed(t, "2048", []byte("{}"))
	if _, err := keys.Decrypt(content); !errors.Is(err, receiver.ErrNoKey) {
		t.Error(err)
	}
	cert, key := read(t, "testdata/keys/2048.cert.pem"), read(t, "testdata/keys/2048.key.pem")
	other := read(t, "testdata/keys/3072.cert.pem")
	if err := keys.AddPEM("2048", cert, key); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Decrypt(content); err != nil {
		t.Error(err)
	}
	lower := *content
	lower.EncryptionCertificateThumbprint = strings.ToLower(lower.EncryptionCertificateThumbprint)
	if _, err := keys.Decrypt(&lower); err != nil {
		t.Error(err)
	}
	keys.Remove("2048")
	if _, err := keys.Decrypt(content); !errors.Is(err, receiver.ErrNoKey) {
		t.Error(err)
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(committedKey(t, "2048"))})
	if err := keys.AddPEM("2048", nil, pkcs1); err != nil { // without its certificate the thumbprint is not looked at
		t.Fatal(err)
	}
	content.EncryptionCertificateThumbprint = "whatever"
	if _, err := keys.Decrypt(content); err != nil {
		t.Error(err)
	}

	ec := must(x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))))
	for name, c := range map[string]struct{ cert, key []byte }{
		"another certificate":  {other, key},
		"a certificate twice":  {cert, cert},
		"no PEM":               {cert, []byte("words")},
		"a key as certificate": {key, key},
		"a broken certificate": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), key},
		"an EC key":            {nil, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: ec})},
		"an encrypted key":     {nil, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: ec})},
		"a broken key":         {nil, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x")})},
	} {
		if err := keys.AddPEM("x", c.cert, c.key); err == nil {
			t.Errorf("%s is added", name)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	var vectors []vector // the same in all of the fuzzer's processes
	if err := json.Unmarshal(read(f, "testdata/vectors.node.json"), &vectors); err != nil {
		f.Fatal(err)
	}
	good, key := vectors[20].Content, committedKey(f, "2048")
	f.Add(good.Data, good.DataSignature, good.DataKey)
	f.Add("", "", "")
	f.Add("AAAA", good.DataSignature, good.DataKey)
	f.Fuzz(func(t *testing.T, data, signature, dataKey string) {
		c := &receiver.EncryptedContent{Data: data, DataSignature: signature, DataKey: dataKey}
		opened, err := receiver.Decrypt(c, key)
		same := data == good.Data && signature == good.DataSignature && dataKey == good.DataKey
		if same != (err == nil) {
			t.Errorf("opened as %q, %v", opened, err)
		}
	})
}

func BenchmarkDecrypt(b *testing.B) {
	for _, bits := range []string{"2048", "4096"} {
		content, key := sealed(b, bits, make([]byte, 2048)), committedKey(b, bits)
		b.Run(bits+"-bit/2048B", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := receiver.Decrypt(content, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// plaintext is what the scripts in testdata sealed.
func plaintext(n int) []byte {
	var text []byte
	for i := 0; len(text) < n; i++ {
		sum := sha256.Sum256([]byte(strconv.Itoa(i)))
		text = append(text, sum[:]...)
	}
	return text[:n]
}

func committedKeys(t *testing.T) *receiver.Keys {
	t.Helper()
	keys := new(receiver.Keys)
	for _, id := range []string{"2048", "3072", "4096"} {
		cert, key := read(t, "testdata/keys/"+id+".cert.pem"), read(t, "testdata/keys/"+id+".key.pem")
		if err := keys.AddPEM(id, cert, key); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func committedKey(tb testing.TB, id string) *rsa.PrivateKey {
	tb.Helper()
	block, _ := pem.Decode(read(tb, "testdata/keys/"+id+".key.pem"))
	key, ok := must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)
	if !ok {
		tb.Fatal("not RSA")
	}
	return key
}

func read(tb testing.TB, file string) []byte {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func first[T, U any](v T, _ U) T { return v }

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprint("in a test: ", err))
	}
	return v
}
