package trace

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"heliograph.dev"
)

// FromEnvironment takes over what OpenTelemetry's variables say of how spans are posted: headers, time-out and
// compression. Where they go and how many is not asked here.
func (o *Options) FromEnvironment(getenv func(string) string) error {
	read := func(name string) (variable, text string) {
		for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
			if text := strings.TrimSpace(getenv(variable)); text != "" {
				return variable, text
			}
		}
		return "", ""
	}
	if variable, text := read("HEADERS"); text != "" {
		o.Headers = map[string]heliograph.Secret{}
		for pair := range strings.SplitSeq(text, ",") {
			name, value, _ := strings.Cut(pair, "=")
			value, err := url.PathUnescape(strings.TrimSpace(value))
			if name = strings.TrimSpace(name); err != nil || name == "" {
				return fmt.Errorf("%s is no list of name=value with commas in between", variable) // without it: it holds keys
			}
			o.Headers[name] = heliograph.NewSecret(value)
		}
	}
	if variable, text := read("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return fmt.Errorf("%s is %q: write a number of milliseconds", variable, text)
		}
		o.Timeout = time.Duration(ms) * time.Millisecond
	}
	variable, text := read("COMPRESSION")
	switch text {
	case "", "none":
	case "gzip":
		o.Gzip = true
	default:
		return fmt.Errorf("%s is %q: write gzip or none", variable, text)
	}
	return nil
}
