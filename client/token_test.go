package client_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"heliograph.dev/client"
)

// tokenServer gives tokens that live for an hour, without a network.
type tokenServer struct{ given int }

func (s *tokenServer) RoundTrip(*http.Request) (*http.Response, error) {
	s.given++
	body, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, `{"access_token":"t`+string(rune('0'+s.given))+`","expires_in":3600}`)
		_ = w.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: body, Header: make(http.Header)}, nil
}

func TestTokenIsRenewedFiveMinutesBeforeItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &tokenServer{}
		tokens := client.ClientCredentials(client.Credentials{TokenURL: "http://issuer.example/token", HTTP: &http.Client{Transport: server}})
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "t1"}, {54 * time.Minute, "t1"}, {time.Minute, "t2"}, {54 * time.Minute, "t2"}, {6 * time.Minute, "t3"}} {
			<-time.After(step.after)
			if got, err := tokens(t.Context()); err != nil || got != step.want {
				t.Errorf("%v later: %s, %v; want %s", step.after, got, err, step.want)
			}
		}
	})
}
