package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"heliograph.dev/internal/clock"
)

// TokenSource returns an access token that is good now. It may be called by several goroutines at once.
type TokenSource func(ctx context.Context) (string, error)

// refusedToken is the key under which a context holds a token that the server does not take any more.
type refusedToken struct{}

func withoutToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, refusedToken{}, token)
}

// StaticToken always returns the same token.
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// Credentials are an application's, at an identity provider in Entra's form.
type Credentials struct {
	// TokenURL is where tokens are given: https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token.
	TokenURL               string
	ClientID, ClientSecret string
	// Scope is what the token is for. Empty: Graph's default, https://graph.microsoft.com/.default.
	Scope string
	// HTTP sends the requests. Nil: a client with a time-out of 30 s.
	HTTP *http.Client
}

// ClientCredentials asks for tokens by the client_credentials grant and keeps each until it is about to end, or until a
// server has refused it.
func ClientCredentials(c Credentials) TokenSource { //nolint:revive // the grant is called so; Credentials are what it takes
	if c.Scope == "" {
		c.Scope = "https://graph.microsoft.com/.default"
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	s := &credentialSource{credentials: c, now: clock.System().Now, turn: make(chan struct{}, 1)}
	return s.token
}

// credentialSource holds the latest token. Who has the turn may fetch a new one, which then serves all who wait.
type credentialSource struct {
	credentials Credentials
	now         func() time.Time

	turn    chan struct{} // of capacity 1, guards what follows; a mutex would not let go of a caller who gives up
	current string
	until   time.Time // when to ask for the next
}

func (s *credentialSource) token(ctx context.Context) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if s.current != "" && s.now().Before(s.until) && ctx.Value(refusedToken{}) != s.current {
		return s.current, nil
	}
	asked := s.now()
	token, life, err := s.fetch(ctx)
	if err != nil {
		return "", err
	}
	s.current, s.until = token, asked.Add(life-min(life/4, 5*time.Minute))
	return token, nil
}

func (s *credentialSource) fetch(ctx context.Context) (token string, life time.Duration, err error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.credentials.ClientID},
		"client_secret": {s.credentials.ClientSecret}, "scope": {s.credentials.Scope},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.credentials.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := s.credentials.HTTP.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		AccessToken string      `json:"access_token"`
		ExpiresIn   json.Number `json:"expires_in"` // some providers quote it
		Error       string      `json:"error"`
		Description string      `json:"error_description"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return "", 0, fmt.Errorf("%s answered %s, and not with JSON: %w", request.URL.Redacted(), response.Status, err)
	}
	if response.StatusCode != http.StatusOK || answer.AccessToken == "" {
		return "", 0, fmt.Errorf("%s answered %s: %s: %s", request.URL.Redacted(), response.Status, answer.Error, answer.Description)
	}
	seconds, err := answer.ExpiresIn.Int64()
	if err != nil || seconds <= 0 {
		return "", 0, errors.New("the token answer does not say how long the token holds")
	}
	return answer.AccessToken, time.Duration(seconds) * time.Second, nil
}
