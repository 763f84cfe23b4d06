package takeover

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format's own check of integrity; what it protects is read by its owner only
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

const (
	extraFile  = "authority.pem"  // the server's authority, and what the user's own variable names
	bundleFile = "bundle.pem"     // that and what the system trusts
	javaFile   = "truststore.jks" // the same for Java
	javaSecret = "changeit"       // the password that everybody gives to Java's stores of public certificates
)

// bundles are where systems keep the certificates that they trust, in PEM.
func bundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
		"/etc/ssl/cert.pem", "/opt/homebrew/etc/ca-certificates/cert.pem",
	}
}

// Trust writes files into dir by which a command trusts an authority besides what it trusts already, and returns the
// environment that says so.
func Trust(dir string, authority []byte, environ []string, now time.Time) ([]string, error) {
	own, _ := os.ReadFile(lookUp(environ, "NODE_EXTRA_CA_CERTS"))
	extra := joinPEM(authority, own)
	bundle := extra
	for _, path := range append([]string{lookUp(environ, "SSL_CERT_FILE")}, bundles()...) {
		if system, err := os.ReadFile(path); err == nil && len(system) > 0 { //nolint:gosec // well-known places, and the user's own
			bundle = joinPEM(extra, system)
			break
		}
	}
	for name, content := range map[string][]byte{extraFile: extra, bundleFile: bundle, javaFile: javaStore(bundle, now)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, v := range [][2]string{
		{"NODE_EXTRA_CA_CERTS", at(extraFile)},
		{"DENO_CERT", at(extraFile)},
		{"SSL_CERT_FILE", at(bundleFile)}, // OpenSSL, Go, .NET, Ruby, Rust
		{"REQUESTS_CA_BUNDLE", at(bundleFile)},
		{"CURL_CA_BUNDLE", at(bundleFile)},
		{"GIT_SSL_CAINFO", at(bundleFile)},
		{"JAVA_TOOL_OPTIONS", strings.TrimSpace(lookUp(environ, "JAVA_TOOL_OPTIONS") + " -Djavax.net.ssl.trustStore=" + at(javaFile) +
			" -Djavax.net.ssl.trustStoreType=JKS -Djavax.net.ssl.trustStorePassword=" + javaSecret)},
	} {
		environ = SetEnv(environ, v[0], v[1])
	}
	return environ, nil
}

// joinPEM puts one after the other, each on lines of its own.
func joinPEM(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		if part = bytes.TrimSpace(part); len(part) > 0 {
			all = append(append(all, part...), '\n')
		}
	}
	return all
}

// SetEnv returns an environment in which a variable has a value.
func SetEnv(environ []string, name, value string) []string {
	return append(UnsetEnv(environ, name), name+"="+value)
}

// UnsetEnv returns an environment without a variable.
func UnsetEnv(environ []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
}

func lookUp(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// javaStore returns the certificates of a bundle as a store of Java's own format (JKS, version 2), which every Java reads.
func javaStore(bundle []byte, now time.Time) []byte {
	var certificates [][]byte
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if _, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			certificates = append(certificates, block.Bytes)
		}
	}
	const (
		magic, version = 0xFEEDFEED, 2
		trusted        = 2 // the kind of entry
	)
	b := binary.BigEndian.AppendUint32(nil, magic)
	b = binary.BigEndian.AppendUint32(b, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(certificates))) //nolint:gosec // some hundreds
	for n, der := range certificates {
		b = binary.BigEndian.AppendUint32(b, trusted)
		b = appendUTF(b, "certificate-"+strconv.Itoa(n))
		b = binary.BigEndian.AppendUint64(b, uint64(now.UnixMilli()))
		b = appendUTF(b, "X.509")
		b = binary.BigEndian.AppendUint32(b, uint32(len(der))) //nolint:gosec // some kilobytes
		b = append(b, der...)
	}
	digest := sha1.New() //nolint:gosec // see the import
	for _, unit := range utf16.Encode([]rune(javaSecret)) {
		_, _ = digest.Write(binary.BigEndian.AppendUint16(nil, unit))
	}
	_, _ = digest.Write([]byte("Mighty Aphrodite")) // the format's own salt
	_, _ = digest.Write(b)
	return digest.Sum(b)
}

// appendUTF appends a text as Java's DataOutput has it; ours is ASCII.
func appendUTF(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) //nolint:gosec // short
}
