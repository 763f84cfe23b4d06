package telemetry

import (
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"

	"heliograph.dev"
)

// NewLogger returns a logger that writes lines to w, as text or as json. It keeps secrets out of them, should one get
// as far as this: values under names such as token or client_state are masked, and URLs in values lose their query,
// their fragment and who is named before the host. Endpoints carry keys in all three.
func NewLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: clean}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// clean takes out of an attribute what no log may hold.
func clean(_ []string, a slog.Attr) slog.Attr {
	if isSecret(a.Key) {
		a.Value = heliograph.NewSecret("").LogValue()
		return a
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); strings.Contains(s, "://") {
			a.Value = slog.StringValue(CleanURLs(s))
		}
	case slog.KindDuration: // JSON would have nanoseconds without a word about it
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			a.Value = slog.StringValue(CleanURLs(v.Error()))
		case *url.URL:
			a.Value = slog.StringValue(CleanURLs(v.String()))
		case heliograph.Endpoint:
			a.Value = slog.StringValue(CleanURLs(string(v)))
		}
	default: // numbers, times and groups, whose members come here themselves
	}
	return a
}

// isSecret tells names under which nothing is ever shown.
func isSecret(key string) bool {
	switch strings.ToLower(key) {
	case "authorization", "token", "access_token", "refresh_token", "id_token", "validation_token", "assertion",
		"secret", "client_secret", "client_state", "clientstate", "password", "credentials", "private_key":
		return true
	}
	return false
}

var anyURL = regexp.MustCompile(`://[^\s"'<>\\]+`)

// CleanURLs returns s with the URLs in it cut down to scheme, host and path.
func CleanURLs(s string) string {
	return anyURL.ReplaceAllStringFunc(s, func(rest string) string {
		rest = strings.TrimPrefix(rest, "://")
		shown, cut := rest, ""
		if at := strings.IndexAny(rest, "?#"); at >= 0 {
			shown, cut = rest[:at], "?…"
		}
		host, path, hasPath := strings.Cut(shown, "/")
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			host = host[at+1:]
		}
		if hasPath {
			host += "/"
		}
		return "://" + host + path + cut
	})
}
