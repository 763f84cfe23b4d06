// Package takeover lets a command meet this server by Microsoft's names, with nothing changed on the machine: for an
// application that has graph.microsoft.com and login.microsoftonline.com written into it.
//
// There are two ways. On Linux the command runs in a namespace of its own, in which /etc/hosts says that the names are on
// loopback, where the server answers on port 443 ([Enter], [Settle]). Where that cannot be had (another system, a
// container without the right, a policy), it is told of a proxy that sends those names to the server ([Proxy]), which a
// client has to heed.
//
// Either way it is told to trust the server's authority by the variables that runtimes look at ([Trust]). For all that
// cannot be started by this command, a browser or a container, [HostsLines], [ContainerLines] and [BrowserLine] say what to
// write.
//
// What is made here is in a folder that the caller removes. All of it is for development.
package takeover

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Port is where the names are answered.
const Port = "443"

// Addresses are where on loopback the names may be: apart from 127.0.0.1, where another server may have the port, and
// several, for takeovers at the same time.
func Addresses() []string {
	addresses := make([]string, 0, 8)
	for n := range 8 {
		addresses = append(addresses, fmt.Sprintf("127.84.71.%d", n+1))
	}
	return addresses
}

// HostsLines returns the lines of a hosts file that lead to an address by the names.
func HostsLines(address string, names []string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s %s\n", address, name)
	}
	return b.String()
}

// Hosts returns a hosts file in which the names lead to an address, and everything else is as it was.
func Hosts(old, address string, names []string) string {
	var b strings.Builder
	for line := range strings.Lines(old) {
		text, comment, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "#")
		fields := strings.Fields(text)
		if !slices.ContainsFunc(fields, func(f string) bool { return slices.Contains(names, strings.ToLower(f)) }) {
			b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return slices.Contains(names, strings.ToLower(f)) })
		if len(kept) > 1 {
			b.WriteString(strings.Join(kept, " "))
			if comment != "" {
				b.WriteString(" #" + comment)
			}
			b.WriteByte('\n')
		}
	}
	b.WriteString("\n# heliograph takeover\n" + HostsLines(address, names))
	return b.String()
}

// NameService returns a /etc/nsswitch.conf in which the hosts file is asked first: on many systems a service is, which
// reads its own.
func NameService(old string) string {
	var b strings.Builder
	found := false
	for line := range strings.Lines(old) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && strings.TrimSpace(name) == "hosts" {
			line, found = "hosts: files dns\n", true
		}
		b.WriteString(line)
	}
	if !found {
		b.WriteString("\nhosts: files dns\n")
	}
	return b.String()
}

// ContainerLines returns what leads a container to the server by the names: for docker run, and for a Compose file. port
// is where the host answers https.
func ContainerLines(names []string, authority string) (run, compose string) {
	var r, c strings.Builder
	for _, name := range names {
		fmt.Fprintf(&r, " --add-host %s:host-gateway", name)
		fmt.Fprintf(&c, "      - \"%s:host-gateway\"\n", name)
	}
	run = "docker run" + r.String() + fmt.Sprintf(" -v %s:/heliograph-ca.pem:ro -e NODE_EXTRA_CA_CERTS=/heliograph-ca.pem -e SSL_CERT_FILE=/heliograph-ca.pem IMAGE", authority)
	compose = "    extra_hosts:\n" + c.String() + fmt.Sprintf("    volumes:\n      - \"%s:/heliograph-ca.pem:ro\"\n    environment:\n      NODE_EXTRA_CA_CERTS: /heliograph-ca.pem\n      SSL_CERT_FILE: /heliograph-ca.pem\n", authority)
	return run, compose
}

// BrowserLine returns how a browser of Chromium's family is started that meets the server by the names, at an address with
// its port, and takes the authority's certificates, in a profile of its own.
func BrowserLine(names []string, address, profile string, authority *x509.Certificate) string {
	rules := make([]string, 0, len(names))
	for _, name := range names {
		rules = append(rules, "MAP "+name+":"+Port+" "+address)
	}
	sum := sha256.Sum256(authority.RawSubjectPublicKeyInfo)
	return fmt.Sprintf("chromium --user-data-dir=%s --host-resolver-rules=\"%s\" --ignore-certificate-errors-spki-list=%s",
		profile, strings.Join(rules, ", "), base64.StdEncoding.EncodeToString(sum[:]))
}

// Loopback returns an address with its host made one that a client on this machine can reach.
func Loopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}
