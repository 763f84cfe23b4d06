package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"heliograph.dev/internal/seal"
)

// content is encryptedContent as receivers read it.
type content struct {
	Data          string `json:"data"`
	DataSignature string `json:"dataSignature"`
	DataKey       string `json:"dataKey"`
	CertificateID string `json:"encryptionCertificateId"`
	Thumbprint    string `json:"encryptionCertificateThumbprint"`
}

// subscriber is the other side: a certificate with its key.
type subscriber struct {
	cert   *x509.Certificate
	key    *rsa.PrivateKey
	parsed *seal.Certificate
}

func newSubscriber(t *testing.T, bits int) *subscriber {
	t.Helper()
	cert, key := newCertificate(t, bits)
	parsed, err := seal.ParseCertificate(base64.StdEncoding.EncodeToString(cert.Raw))
	if err != nil {
		t.Fatal(err)
	}
	return &subscriber{cert: cert, key: key, parsed: parsed}
}

// seal returns the item's JSON and what it says.
func (s *subscriber) seal(t require, id string, plaintext []byte) ([]byte, content) {
	t.Helper()
	raw, err := s.parsed.AppendContent(nil, id, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	var c content
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return raw, c
}

// open is contract 13.2 to 13.7 read from the receiver's side, step by step. It returns the symmetric key too.
func (s *subscriber) open(t require, c content) (plaintext, key []byte) {
	t.Helper()
	key, err := rsa.DecryptOAEP(sha1.New(), nil, s.key, decode(t, c.DataKey), nil)
	if err != nil {
		t.Fatal(err)
	}
	data := decode(t, c.Data)
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	if !hmac.Equal(mac.Sum(nil), decode(t, c.DataSignature)) {
		t.Fatal("the signature does not fit")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCDecrypter(block, key[:aes.BlockSize]).CryptBlocks(data, data)
	padding := int(data[len(data)-1])
	if padding < 1 || padding > aes.BlockSize || !bytes.HasSuffix(data, bytes.Repeat([]byte{byte(padding)}, padding)) {
		t.Fatalf("the padding is %x", data[len(data)-aes.BlockSize:])
	}
	return data[:len(data)-padding], key
}

// require is what a test of either kind has.
type require interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func decode(t require, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAppendContent(t *testing.T) { // contract 13.1 to 13.6
	t.Parallel()
	s := newSubscriber(t, 2048)
	for size := range 67 { // every remainder of a block, several times
		plaintext := pattern(size)
		_, c := s.seal(t, "my certificate", plaintext)
		opened, key := s.open(t, c)
		if !bytes.Equal(opened, plaintext) {
			t.Errorf("%d bytes: opened as %x", size, opened)
		}
		if len(key) != 32 {
			t.Errorf("a key of %d bytes", len(key))
		}
		want := content{
			Data: c.Data, DataSignature: c.DataSignature, DataKey: c.DataKey,
			CertificateID: "my certificate", Thumbprint: fmt.Sprintf("%X", sha1.Sum(s.cert.Raw)),
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAppendContentOfAnySize(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t, 2048)
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "plaintext")
		id := rapid.StringN(0, 128, -1).Draw(t, "id")
		raw, c := s.seal(t, id, plaintext)
		if opened, _ := s.open(t, c); !bytes.Equal(opened, plaintext) {
			t.Fatalf("opened as %x", opened)
		}
		if c.CertificateID != id {
			t.Fatalf("the id is %q", c.CertificateID)
		}
		if !json.Valid(raw) {
			t.Fatalf("not JSON: %s", raw)
		}
	})
}

// Whatever dst holds stays, and what is left behind it is not the plaintext.
func TestAppendContentIntoABuffer(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t, 2048)
	plaintext := bytes.Repeat([]byte("0123456789 secret"), 500)
	for _, spare := range []int{0, 1, 100, 1 << 16} {
		dst := append(make([]byte, 0, 8+spare), `{"item":`...)
		got, err := s.parsed.AppendContent(dst, "id", plaintext)
		if err != nil {
			t.Fatal(err)
		}
		var item struct{ Item content }
		if err := json.Unmarshal(append(got, '}'), &item); err != nil {
			t.Fatal(err)
		}
		if opened, _ := s.open(t, item.Item); !bytes.Equal(opened, plaintext) {
			t.Errorf("with %d bytes to spare it opens as something else", spare)
		}
		if bytes.Contains(got[:cap(got)], []byte("secret")) {
			t.Error("plaintext is left in the buffer")
		}
	}
}

func TestEveryItemHasAKeyOfItsOwn(t *testing.T) { // contract 13.4
	t.Parallel()
	s := newSubscriber(t, 2048)
	seen := map[string]bool{}
	for range 200 {
		_, c := s.seal(t, "id", []byte(`{"id":"1"}`))
		_, key := s.open(t, c)
		if seen[string(key)] {
			t.Fatal("a key came twice")
		}
		seen[string(key)] = true
	}
}

func TestSealingAtOnce(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t, 2048)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 25 {
				plaintext := pattern(worker*1000 + n)
				raw, err := s.parsed.AppendContent(nil, "id", plaintext)
				var c content
				if err != nil || json.Unmarshal(raw, &c) != nil {
					t.Error(err)
					return
				}
				if opened, _ := s.open(fatal{t}, c); !bytes.Equal(opened, plaintext) {
					t.Errorf("worker %d, item %d opens as something else", worker, n)
				}
			}
		})
	}
	all.Wait()
}

// fatal lets the helpers be used from another goroutine, where Fatal must not be called.
type fatal struct{ *testing.T }

func (f fatal) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (f fatal) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Ours decrypt there: Node.js opens what we sealed, with its own crypto.
func TestNodeOpens(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node on this machine: the receiver's known answers were made by it")
	}
	var lines bytes.Buffer
	var want strings.Builder
	for _, bits := range []int{2048, 3072, 4096} {
		s := newSubscriber(t, bits)
		key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(s.key))})
		sizes := []int{2 << 10, 100_000, 1<<20 + 7, 4 << 20}
		for size := range 33 {
			sizes = append(sizes, size)
		}
		for _, size := range sizes {
			plaintext := pattern(size)
			raw, c := s.seal(t, "id", plaintext)
			line := must(json.Marshal(map[string]any{"key": string(key), "content": json.RawMessage(raw)}))
			lines.Write(append(line, '\n'))
			fmt.Fprintln(&want, sum(plaintext), size, c.Thumbprint)
		}
	}
	command := exec.CommandContext(t.Context(), node, "testdata/open.mjs")
	command.Stdin, command.Stderr = &lines, os.Stderr
	got, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(want.String(), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Error(diff)
	}
}

// pattern returns n bytes in which no two blocks are alike.
func pattern(n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return text
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(s[:])
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	texts := make([]string, 6)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	for i := range texts {
		texts[i] = base64.StdEncoding.EncodeToString(selfSign(t, key, day(2026, 1, 1+i), day(2027, 1, 1)).Raw)
	}
	cache := seal.NewCertificates(4)
	parse := func(text string) *seal.Certificate {
		t.Helper()
		parsed, err := cache.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	first := parse(texts[0])
	for range 3 { // one that is in use stays, however many others come
		for _, text := range texts[1:] {
			parse(text)
			if parse(texts[0]) != first {
				t.Fatal("parsed again")
			}
			if cache.Len() > 4 {
				t.Fatalf("%d are remembered", cache.Len())
			}
		}
	}
	if _, err := cache.Parse("nonsense"); err == nil {
		t.Error("nonsense is a certificate")
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 200 {
				if _, err := cache.Parse(texts[n%len(texts)]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
