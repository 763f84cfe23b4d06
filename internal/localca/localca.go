// Package localca is a certificate authority for one machine: it lets a development server speak https with
// clients that accept nothing less, once they trust its certificate (NODE_EXTRA_CA_CERTS, SSL_CERT_FILE).
//
// What trusting it risks is kept small. The key is made on the machine and readable by its owner only; the
// certificate is constrained, critically, to the names under localhost and to loopback addresses, to server
// authentication, and to issuing no further authority. So a stolen key is good for nothing but this machine.
//
// An authority for further names (those of Microsoft's that a server is reached by in a takeover) is another one, in
// another folder, constrained to them as well: it is for the processes that are told to trust it, never for a machine.
//
// An authority is a folder of its own with two files:
//
//	ca.pem       its certificate, to be handed to clients
//	ca-key.pem   its key (PKCS #8), mode 0600
//
// The folder appears at once or not at all, so that two processes that start together agree on one authority.
// What is in it is never replaced: clients were told to trust it. A folder that cannot be used is an error
// that says what is wrong, and a person decides.
//
// Server certificates are made from it when they are needed, and are kept in memory only.
package localca

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	certFile = "ca.pem"
	keyFile  = "ca-key.pem"
)

// CA is a loaded authority. Its methods may be called concurrently.
type CA struct {
	dir   string
	names []string // besides localhost
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey

	mu    sync.Mutex
	leaf  tls.Certificate
	renew time.Time // when to make the next leaf
}

// Load opens the authority in dir, and makes it first when dir is missing or empty. It is for localhost, and for further
// names where there are any.
func Load(dir string, now time.Time, names ...string) (*CA, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the local CA's folder: %w", err)
	}
	vacant, err := isVacant(dir)
	if err != nil {
		return nil, fmt.Errorf("look for a local CA: %w", err)
	}
	if vacant {
		if err := create(dir, now, names); err != nil {
			return nil, fmt.Errorf("make a local CA in %s: %w", dir, err)
		}
	}
	ca, err := open(dir, now)
	if err == nil {
		ca.names, err = names, ca.covers(names)
	}
	if err != nil {
		return nil, fmt.Errorf("the local CA in %s cannot be used: %w; "+
			"mend it, or remove the folder to have a new one made, which clients must then be told to trust", dir, err)
	}
	return ca, nil
}

// CertPath returns the absolute path of the certificate that clients must trust, in PEM.
func (ca *CA) CertPath() string { return filepath.Join(ca.dir, certFile) }

// PEM returns that certificate.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// Certificate returns that certificate.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }

// covers says which names the authority may not speak for.
func (ca *CA) covers(names []string) error {
	for _, name := range names {
		if !slices.Contains(ca.cert.PermittedDNSDomains, name) {
			return fmt.Errorf("its certificate is not for %s", name)
		}
	}
	return nil
}

// isVacant reports whether dir is missing or empty.
func isVacant(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return len(entries) == 0, err
}

func open(dir string, now time.Time) (*CA, error) {
	certDER, err := readPEM(filepath.Join(dir, certFile), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	keyPath := filepath.Join(dir, keyFile)
	if err := checkPrivate(keyPath); err != nil {
		return nil, err
	}
	keyDER, err := readPEM(keyPath, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", certFile, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", keyFile, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s holds no ECDSA key", keyFile)
	case !key.PublicKey.Equal(cert.PublicKey):
		return nil, fmt.Errorf("%s is not the key of %s", keyFile, certFile)
	case !cert.IsCA:
		return nil, fmt.Errorf("%s is no authority's certificate", certFile)
	case now.Before(cert.NotBefore):
		return nil, fmt.Errorf("its certificate begins only on %s; is the clock right?", cert.NotBefore.Format(time.DateOnly))
	case now.After(cert.NotAfter):
		return nil, fmt.Errorf("its certificate ended on %s", cert.NotAfter.Format(time.DateOnly))
	}
	return &CA{dir: dir, cert: cert, key: key}, nil
}

// checkPrivate refuses a key that others may read: whoever reads it can speak for localhost.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others may read %s (mode %04o, want 0600)", keyFile, info.Mode().Perm())
	}
	return nil
}

// readPEM returns the content of a file that holds exactly one PEM block of that kind.
func readPEM(path, kind string) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the folder is the operator's choice
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(rest) != 0 {
		return nil, fmt.Errorf("%s is not one PEM block %q", filepath.Base(path), kind)
	}
	return block.Bytes, nil
}

// Trusting returns the authorities that the machine trusts, and this one.
func (ca *CA) Trusting() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil { // a machine without any
		pool = x509.NewCertPool()
	}
	pool.AddCert(ca.cert)
	return pool
}
