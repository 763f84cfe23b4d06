package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"time"
)

// hardCoded is an application with Microsoft's names written into it, as scripts run it: it gets a token, subscribes, has
// a change published and waits for the notification.
func hardCoded() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := runHardCoded(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runHardCoded(ctx context.Context) error {
	roots := x509.NewCertPool()
	bundle, err := os.ReadFile(os.Getenv("SSL_CERT_FILE")) // Go heeds it on Linux by itself
	if err != nil || !roots.AppendCertsFromPEM(bundle) {
		return fmt.Errorf("nothing to trust: %w", err)
	}
	a := hardCodedApp{client: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}}
	var token struct {
		Text string `json:"access_token"`
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"x"}, "scope": {"https://graph.microsoft.com/.default"}}
	if err := a.post(ctx, "https://login.microsoftonline.com/organizations/oauth2/v2.0/token", "application/x-www-form-urlencoded", form.Encode(), &token); err != nil {
		return err
	}
	a.token = token.Text
	received := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		received <- string(body)
	}))
	defer receiver.Close()
	subscription := fmt.Sprintf(`{"changeType":"created","resource":"users/ada/messages","notificationUrl":%q,"expirationDateTime":%q}`,
		receiver.URL, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	if err := a.post(ctx, "https://graph.microsoft.com/v1.0/subscriptions", "application/json", subscription, nil); err != nil {
		return err
	}
	event := `{"specversion":"1.0","id":"1","source":"x","type":"heliograph.change.created","subject":"users/ada/messages/1","data":{"id":"1"}}`
	if err := a.post(ctx, "https://graph.microsoft.com/publish", "application/cloudevents+json", event, nil); err != nil {
		return err
	}
	select {
	case body := <-received:
		_, err := fmt.Fprintln(os.Stdout, "received", body)
		return err
	case <-ctx.Done():
		return errors.New("no notification")
	}
}

type hardCodedApp struct {
	client *http.Client
	token  string
}

func (a *hardCodedApp) post(ctx context.Context, address, media, body string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", media)
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := a.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: %s: %s: %w", address, response.Status, text, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
