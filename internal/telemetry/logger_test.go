package telemetry_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/telemetry"
)

func TestLoggerKeepsSecretsOut(t *testing.T) {
	t.Parallel()
	const hidden = "s3cr3t"
	parsed, err := url.Parse("https://user:" + hidden + "@example.com/hook?code=" + hidden)
	if err != nil {
		t.Fatal(err)
	}
	inner := &url.Error{Op: "Post", URL: parsed.String(), Err: errors.New("refused")}
	for name, attr := range map[string]slog.Attr{
		"secret":             slog.Any("state", heliograph.NewSecret(hidden)),
		"named as a secret":  slog.String("client_state", hidden),
		"in another case":    slog.String("Authorization", "Bearer "+hidden), //nolint:sloglint // not all keys are ours
		"in a group":         slog.Group("request", slog.String("token", hidden)),
		"a number":           slog.Any("password", []byte(hidden)),
		"a URL":              slog.Any("url", parsed),
		"a URL as text":      slog.String("url", "see https://example.com/?code="+hidden+" and https://"+hidden+"@example.com"),
		"an endpoint":        slog.Any("endpoint", heliograph.Endpoint("https://example.com/hook#"+hidden)),
		"an error":           slog.Any("error", fmt.Errorf("attempt: %w", inner)),
		"an address in nats": slog.String("server", "nats://"+hidden+"@127.0.0.1:4222"),
	} {
		for _, format := range []string{"json", "text"} {
			t.Run(name+" as "+format, func(t *testing.T) {
				t.Parallel()
				var out bytes.Buffer
				telemetry.NewLogger(&out, slog.LevelInfo, format).LogAttrs(t.Context(), slog.LevelInfo, "told", attr)
				if line := out.String(); strings.Contains(line, hidden) || !strings.Contains(line, "told") {
					t.Errorf("logged %s", line)
				}
			})
		}
	}
}

func TestLoggerLeavesTheRest(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	level := new(slog.LevelVar)
	logger := telemetry.NewLogger(&out, level, "json")
	logger.Debug("quiet")
	logger.Info("ready", "took", 1500*time.Microsecond, "url", "https://127.0.0.1:8443/v1.0", "tokens", 3, "note", "why? because")
	for _, want := range []string{`"url":"https://127.0.0.1:8443/v1.0"`, `"tokens":3`, `"took":"1.5ms"`, `"note":"why? because"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in %s", want, out.String())
		}
	}
	level.Set(slog.LevelDebug)
	logger.Debug("loud")
	if s := out.String(); strings.Contains(s, "quiet") || !strings.Contains(s, "loud") {
		t.Errorf("logged %s", s)
	}
}

func TestCleanURLs(t *testing.T) {
	t.Parallel()
	for have, want := range map[string]string{
		"":                                        "",
		"no URL? none#":                           "no URL? none#",
		"https://example.com":                     "https://example.com",
		"https://example.com/":                    "https://example.com/",
		"https://example.com:8443/a/b?c=d&e":      "https://example.com:8443/a/b?…",
		"https://example.com?c":                   "https://example.com?…",
		"https://u:p@example.com/a@b":             "https://example.com/a@b",
		`Post "https://example.com/a?b": EOF`:     `Post "https://example.com/a?…": EOF`,
		"http://a.example/?x http://b.example/#y": "http://a.example/?… http://b.example/?…",
	} {
		if got := telemetry.CleanURLs(have); got != want {
			t.Errorf("CleanURLs(%q) = %q, want %q", have, got, want)
		}
	}
}

func FuzzCleanURLs(f *testing.F) {
	f.Add("https://u:p@example.com/a?b#c")
	f.Fuzz(func(t *testing.T, s string) {
		once := telemetry.CleanURLs(s)
		if again := telemetry.CleanURLs(once); again != once {
			t.Errorf("%q, then %q", once, again)
		}
	})
}
