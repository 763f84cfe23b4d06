package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"heliograph.dev"
)

// Address is a host:port to listen on. Empty is off, and is written so.
type Address string

// UnmarshalText reads host:port, or off.
func (a *Address) UnmarshalText(text []byte) error {
	*a = Address(text)
	if *a == off {
		*a = ""
	}
	return nil
}

// String returns host:port, or off.
func (a Address) String() string {
	if a == "" {
		return off
	}
	return string(a)
}

const off = "off"

// Bytes is a size. It is written as a number with an optional unit: 900000, 900kB, 256KiB, 1.5GiB.
type Bytes int64

// units stand largest first within each base, so that String finds the shortest form.
func units() []struct {
	name string
	size Bytes
} {
	return []struct {
		name string
		size Bytes
	}{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"B", 1},
	}
}

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := string(text)
	number, factor := s, Bytes(1)
	for _, u := range units() {
		if head, ok := cutSuffixFold(s, u.name); ok {
			number, factor = strings.TrimSpace(head), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	size := n * float64(factor)
	if err != nil || math.IsNaN(size) || size < 0 || size >= math.MaxInt64 {
		return fmt.Errorf("%q is no size: write a number with a unit, such as 256KiB", s)
	}
	*b = Bytes(size)
	return nil
}

func cutSuffixFold(s, suffix string) (head string, ok bool) {
	at := len(s) - len(suffix)
	if at < 0 || !strings.EqualFold(s[at:], suffix) {
		return s, false
	}
	return s[:at], true
}

// String returns the size in the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range units() {
		if b >= u.size && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Share is a part of a whole. It is written as a number up to 1 or as a percentage: 0.05, 5%.
type Share float64

// UnmarshalText reads a share.
func (s *Share) UnmarshalText(text []byte) error {
	number, isPercentage := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if isPercentage {
		n /= 100
	}
	if err != nil || math.IsNaN(n) || n < 0 || n > 1 {
		return fmt.Errorf("%q is no share: write a number from 0 to 1, or a percentage", text)
	}
	*s = Share(n)
	return nil
}

// String returns the share as a number.
func (s Share) String() string { return strconv.FormatFloat(float64(s), 'g', -1, 64) }

// Drive is a folder that is a user's drive.
type Drive struct{ User, Dir string }

// UnmarshalText reads USER=DIR.
func (d *Drive) UnmarshalText(text []byte) error {
	user, dir, ok := strings.Cut(string(text), "=")
	if !ok || user == "" || dir == "" {
		return fmt.Errorf("%q is no drive: write USER=DIR", text)
	}
	d.User, d.Dir = user, dir
	return nil
}

// String returns USER=DIR.
func (d Drive) String() string { return d.User + "=" + d.Dir }

// Quota is a limit on the number of subscriptions.
type Quota struct {
	Name  string
	Limit int // 0: none
}

// UnmarshalText reads NAME=LIMIT.
func (q *Quota) UnmarshalText(text []byte) error {
	name, limit, ok := strings.Cut(string(text), "=")
	n, err := strconv.Atoi(limit)
	if limit == noLimit {
		n, err = 0, nil
	} else if n <= 0 {
		ok = false
	}
	if !ok || name == "" || err != nil {
		return fmt.Errorf("%q is no quota: write NAME=LIMIT, such as outlook.user=2 or all=none", text)
	}
	q.Name, q.Limit = name, n
	return nil
}

// String returns NAME=LIMIT.
func (q Quota) String() string {
	if q.Limit == 0 {
		return q.Name + "=" + noLimit
	}
	return q.Name + "=" + strconv.Itoa(q.Limit)
}

const noLimit = "none"

// Issuer is one whose tokens are believed, for one tenant or for all that its tokens name.
type Issuer struct {
	URL    string
	Tenant heliograph.TenantID
}

// UnmarshalText reads URL or TENANT=URL.
func (i *Issuer) UnmarshalText(text []byte) error {
	*i = Issuer{URL: string(text)}
	head, url, ok := strings.Cut(i.URL, "=")
	if tenant, isGUID := heliograph.ParseGUID(head); ok && isGUID {
		*i = Issuer{URL: url, Tenant: heliograph.TenantID(tenant.String())}
	}
	return nil
}

// String returns URL or TENANT=URL.
func (i Issuer) String() string {
	if i.Tenant == "" {
		return i.URL
	}
	return string(i.Tenant) + "=" + i.URL
}

// Application is a client that dev's issuer knows.
type Application struct {
	ID     heliograph.AppID
	Name   string
	Secret heliograph.Secret
	Roles  []string // nil: every application permission
	// RedirectURIs are where people may be sent back to. Nil: to this machine.
	RedirectURIs []string
}

// User is a person that dev's issuer knows.
type User struct {
	UPN            string
	ID             heliograph.ObjectID
	Tenant         heliograph.TenantID
	Name           string
	Password       heliograph.Secret // empty: any
	Roles          []string          // that applications have given
	DirectoryRoles []string
}

// parsePrefix reads a prefix, or one address.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address or prefix: write one such as 10.1.0.0/16", s)
	}
	return prefix.Masked(), nil
}
