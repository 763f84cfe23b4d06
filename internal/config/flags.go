package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/spf13/pflag"

	"heliograph.dev"
)

// configFlag names the file.
const configFlag = "config"

// AddFlags gives flags one flag for each setting but those that are too large or too secret for a command line. The
// help shows those with a name of their own; the others work, and stand in the reference.
func AddFlags(flags *pflag.FlagSet, mode Mode) {
	flags.String(configFlag, "", "the configuration file (default "+defaultFile+", if it is there)")
	defaults := Default(mode)
	for _, s := range settings() {
		if s.flag == "" {
			continue
		}
		v := newFlagValue(&s, defaults)
		f := flags.VarPF(v, s.flag, "", help(s.key))
		f.Hidden = !s.known
		if v.kind == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

// flagValue keeps what was given as text: Load reads it, as it reads the other sources.
type flagValue struct {
	kind     string
	list     bool
	given    []string
	standard string
}

func newFlagValue(s *setting, defaults *Config) *flagValue {
	v := &flagValue{}
	switch field := s.in(defaults).(type) {
	case *[]string, *[]Issuer:
		v.kind, v.list = "text", true
	case *[]Drive:
		v.kind, v.list = "USER=DIR", true
	case *[]Quota:
		v.kind, v.list = "NAME=LIMIT", true
	case *[]netip.Prefix:
		v.kind, v.list = "prefix", true
	case *bool:
		v.kind, v.standard = "bool", fmt.Sprint(*field)
	case *int:
		v.kind, v.standard = "number", fmt.Sprint(*field)
	case *time.Duration:
		v.kind, v.standard = "duration", shortDuration(*field)
	case *Bytes:
		v.kind, v.standard = "size", field.String()
	case *Share:
		v.kind, v.standard = "share", field.String()
	case *Address:
		v.kind, v.standard = "host:port", field.String()
	case *slog.Level:
		v.kind, v.standard = "level", levelName(*field)
	case *string:
		v.kind, v.standard = "text", *field
	case *heliograph.TenantID:
		v.kind = "GUID"
	case *heliograph.Secret:
		v.kind = "secret"
	}
	v.kind = cmp.Or(s.shape, v.kind)
	return v
}

// Set takes one more value of a list, or another value instead.
func (f *flagValue) Set(s string) error {
	if !f.list {
		f.given = f.given[:0]
	}
	f.given = append(f.given, s)
	return nil
}

// String returns the default: it is what the help shows.
func (f *flagValue) String() string { return f.standard }

// Type names the shape for the help.
func (f *flagValue) Type() string { return f.kind }

// flagLayer returns what the flags say.
func flagLayer(flags *pflag.FlagSet) layer {
	said := layer{}
	if flags == nil {
		return said
	}
	for _, s := range settings() {
		f := flags.Lookup(s.flag)
		if f == nil || !f.Changed {
			continue
		}
		if v, ok := f.Value.(*flagValue); ok {
			said[s.key] = value{origin: "flag --" + s.flag, text: v.given}
		}
	}
	return said
}
