package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
	// skew is how far another machine's clock (a container's, a virtual machine's) may be behind ours.
	skew = time.Hour
)

// create makes an authority beside dir and moves it there. When another process was quicker, its authority
// stays and ours goes.
func create(dir string, now time.Time, names []string) (err error) {
	certPEM, keyPEM, err := newAuthority(now, names)
	if err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	made, err := os.MkdirTemp(parent, filepath.Base(dir)+".new-") // mode 0700
	if err != nil {
		return err
	}
	defer func() {
		if rmErr := os.RemoveAll(made); err == nil {
			err = rmErr
		}
	}()
	if err := writeSynced(filepath.Join(made, keyFile), keyPEM, 0o600); err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(made, certFile), certPEM, 0o644); err != nil {
		return err
	}
	// An empty folder is in the way of a rename on some systems. One that is not empty stays.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stands(dir, err)
	}
	if err := os.Rename(made, dir); err != nil {
		return stands(dir, err)
	}
	return nil
}

// stands returns nil when another process has put its authority in place meanwhile, else the error.
func stands(dir string, err error) error {
	if vacant, vacantErr := isVacant(dir); vacantErr == nil && !vacant {
		return nil
	}
	return err
}

func newAuthority(now time.Time, names []string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	kind := "local"
	if len(names) > 0 {
		kind = "takeover"
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// The number tells one authority from the next in a list of trusted ones.
		Subject:               pkix.Name{Organization: []string{"Heliograph"}, CommonName: fmt.Sprintf("Heliograph %s CA %x", kind, serial.Bytes()[:4])},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,

		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         append([]string{"localhost"}, names...), // and the names under them
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// Leaf returns a server certificate for localhost, *.localhost, 127.0.0.1, ::1 and the further names: the same one until two
// thirds of its life are over, then another. It is quick enough for tls.Config.GetCertificate.
//
// Not every client takes the wildcard: Node.js and OpenSSL want two labels behind a star.
func (ca *CA) Leaf(now time.Time) (tls.Certificate, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.leaf.Leaf != nil && now.Before(ca.renew) && !now.Before(ca.leaf.Leaf.NotBefore) {
		return ca.leaf, nil
	}
	if now.After(ca.cert.NotAfter) {
		return tls.Certificate{}, fmt.Errorf("the local CA in %s ended on %s", ca.dir, ca.cert.NotAfter.Format(time.DateOnly))
	}
	leaf, err := ca.issue(now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate for localhost: %w", err)
	}
	ca.leaf = leaf
	ca.renew = now.Add(leaf.Leaf.NotAfter.Sub(now) * 2 / 3)
	return leaf, nil
}

func (ca *CA) issue(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return tls.Certificate{}, err
	}
	end := now.Add(leafLife)
	if end.After(ca.cert.NotAfter) {
		end = ca.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"Heliograph"}, CommonName: "localhost"},
		NotBefore:    now.Add(-skew),
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     append([]string{"localhost", "*.localhost"}, ca.names...),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback},
	}, ca.cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	// The authority goes along, so that a browser can be told to take what its key has signed without being made to trust it.
	return tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// newSerial returns a random positive serial number: two authorities on one machine never issue the same.
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand.Reader, b[:]); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and of full length
	return new(big.Int).SetBytes(b[:]), nil
}

func writeSynced(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the folder is the operator's choice
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
