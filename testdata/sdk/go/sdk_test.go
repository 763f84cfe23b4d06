// Package sdk runs the official Go SDK of Microsoft Graph, unmodified, against heliograph dev: it creates, reads, lists
// through pages, renews, reauthorizes and deletes subscriptions, and receives a notification. It is a module of its own,
// because the SDK takes ten minutes and more than a gigabyte to build the first time.
package sdk_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/microsoft/kiota-abstractions-go/authentication"
	azure "github.com/microsoft/kiota-authentication-azure-go"
	graph "github.com/microsoftgraph/msgraph-sdk-go"
	core "github.com/microsoftgraph/msgraph-sdk-go-core"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"
)

const (
	clientID = "11111111-0000-0000-0000-000000000001"
	scope    = "https://graph.microsoft.com/.default"
	pages    = 205 // subscriptions: three pages
)

// server is a running heliograph dev.
type server struct {
	url, secure, tenant, ca string
}

// start builds heliograph and starts it on free ports. HELIOGRAPH names a binary that is built already.
func start(t *testing.T) *server {
	t.Helper()
	binary := os.Getenv("HELIOGRAPH")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "heliograph")
		build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/heliograph")
		build.Dir = filepath.Join("..", "..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build heliograph: %v\n%s", err, out)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	dev := exec.CommandContext(ctx, binary, "dev", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0",
		"--local-ca", filepath.Join(t.TempDir(), "ca"), "--data", t.TempDir(), "--log-level", "warn")
	dev.Cancel = func() error { return dev.Process.Signal(os.Interrupt) }
	dev.WaitDelay = 10 * time.Second
	dev.Stderr = os.Stderr
	stdout, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = dev.Wait()
	})
	return welcome(t, stdout)
}

var (
	graphLine  = regexp.MustCompile(`(https?)(://\S+)/v1\.0`)
	trustLine  = regexp.MustCompile(`trust (\S+)`)
	tenantLine = regexp.MustCompile(`Tokens\s+\S+/([0-9a-f-]{36})/oauth2`)
)

// welcome reads what dev prints for people to paste.
func welcome(t *testing.T, stdout io.Reader) *server {
	t.Helper()
	s := &server{}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		line := lines.Text()
		if m := graphLine.FindStringSubmatch(line); m != nil {
			if m[1] == "https" {
				s.secure = m[1] + m[2]
			} else {
				s.url = m[1] + m[2]
			}
		}
		if m := trustLine.FindStringSubmatch(line); m != nil {
			s.ca = m[1]
		}
		if m := tenantLine.FindStringSubmatch(line); m != nil {
			s.tenant = m[1]
		}
		if strings.Contains(line, "Data ") {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			t.Logf("heliograph dev: %s and %s, tenant %s", s.url, s.secure, s.tenant)
			return s
		}
	}
	t.Fatal("heliograph dev did not start")
	return nil
}

// credential is azidentity's, pointed at the development issuer.
func (s *server) credential(t *testing.T) azcore.TokenCredential {
	t.Helper()
	credential, err := azidentity.NewClientSecretCredential(s.tenant, clientID, "any", &azidentity.ClientSecretCredentialOptions{
		ClientOptions: policy.ClientOptions{
			Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: s.secure},
		},
		DisableInstanceDiscovery: true, // it would ask Microsoft whether it knows the authority
	})
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// fixed is an AccessTokenProvider with one token, for plain http, where azidentity's own refuses.
type fixed struct{ token string }

func (f fixed) GetAuthorizationToken(context.Context, *url.URL, map[string]any) (string, error) {
	return f.token, nil
}
func (fixed) GetAllowedHostsValidator() *authentication.AllowedHostsValidator { return nil }

// hook is a receiver: it echoes the handshake's token and passes on what comes.
func hook(t *testing.T) (address string, received chan string) {
	t.Helper()
	received = make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		var collection struct {
			Value []struct{ Resource, ClientState string }
		}
		_ = json.NewDecoder(r.Body).Decode(&collection)
		for _, n := range collection.Value {
			received <- n.Resource + " " + n.ClientState
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	return s.URL, received
}

// TestGoSDK takes the SDK through a subscription's life, over http and over https with azidentity.
func TestGoSDK(t *testing.T) {
	s := start(t)
	t.Setenv("SSL_CERT_FILE", s.ca) // trusts the local authority, and only that
	credential := s.credential(t)
	token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		t.Fatalf("azidentity: %v", err)
	}
	t.Log("azidentity: a token of the development issuer, over https")

	overHTTP, err := graph.NewGraphRequestAdapter(authentication.NewBaseBearerTokenAuthenticationProvider(fixed{token.Token}))
	if err != nil {
		t.Fatal(err)
	}
	overHTTP.SetBaseUrl(s.url + "/v1.0")

	secureHost, _ := url.Parse(s.secure)
	provider, err := azure.NewAzureIdentityAuthenticationProviderWithScopesAndValidHosts(credential, []string{scope}, []string{secureHost.Hostname()})
	if err != nil {
		t.Fatal(err)
	}
	overHTTPS, err := graph.NewGraphRequestAdapter(provider)
	if err != nil {
		t.Fatal(err)
	}
	overHTTPS.SetBaseUrl(s.secure + "/v1.0")

	for name, adapter := range map[string]*graph.GraphRequestAdapter{"http": overHTTP, "https": overHTTPS} {
		t.Run(name, func(t *testing.T) { life(t, s, adapter, token.Token, name) })
	}
}

// life is a subscription's, as an application takes it through.
func life(t *testing.T, s *server, adapter *graph.GraphRequestAdapter, token, name string) {
	ctx := t.Context()
	client := graph.NewGraphServiceClient(adapter)
	address, received := hook(t)

	create := func(resource string) models.Subscriptionable {
		t.Helper()
		body := models.NewSubscription()
		body.SetChangeType(new("created,updated"))
		body.SetResource(&resource)
		body.SetNotificationUrl(&address)
		body.SetClientState(new("secretClientValue"))
		body.SetExpirationDateTime(new(time.Now().Add(time.Hour)))
		made, err := client.Subscriptions().Post(ctx, body, nil)
		if err != nil {
			t.Fatalf("create %s: %v", resource, explain(err))
		}
		return made
	}
	user := "users/" + name + "@example.com"
	made := create(user + "/messages")
	id := *made.GetId()
	t.Logf("create       %s, expires %v", id, made.GetExpirationDateTime())

	one, err := client.Subscriptions().BySubscriptionId(id).Get(ctx, nil)
	if err != nil {
		t.Fatalf("read: %v", explain(err))
	}
	if *one.GetResource() != user+"/messages" || *one.GetClientState() != "secretClientValue" || *one.GetNotificationUrl() != address {
		t.Errorf("read: %s %s", *one.GetResource(), *one.GetClientState())
	}
	t.Logf("read         %s", *one.GetResource())

	publish(t, s, token, user+"/messages/1")
	select {
	case got := <-received:
		t.Logf("notification %s", got)
	case <-time.After(10 * time.Second):
		t.Error("no notification")
	}

	for i := range pages - 1 {
		create(fmt.Sprintf("users/%s%d@example.com/messages", name, i))
	}
	first, err := client.Subscriptions().Get(ctx, nil)
	if err != nil {
		t.Fatalf("list: %v", explain(err))
	}
	if first.GetOdataNextLink() == nil {
		t.Errorf("list: %d on one page", len(first.GetValue()))
	}
	iterator, err := core.NewPageIterator[models.Subscriptionable](first, adapter, models.CreateSubscriptionCollectionResponseFromDiscriminatorValue)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	if err := iterator.Iterate(ctx, func(sub models.Subscriptionable) bool {
		if strings.Contains(*sub.GetResource(), name) {
			ids[*sub.GetId()] = true
		}
		return true
	}); err != nil {
		t.Fatalf("list: %v", explain(err))
	}
	if len(ids) != pages {
		t.Errorf("listed %d of %d", len(ids), pages)
	}
	t.Logf("list         %d subscriptions, %d on the first page", len(ids), len(first.GetValue()))

	renewal := models.NewSubscription()
	renewal.SetExpirationDateTime(new(time.Now().Add(24 * time.Hour)))
	renewed, err := client.Subscriptions().BySubscriptionId(id).Patch(ctx, renewal, nil)
	if err != nil {
		t.Fatalf("renew: %v", explain(err))
	}
	if !renewed.GetExpirationDateTime().After(*made.GetExpirationDateTime()) {
		t.Errorf("renewed until %v", renewed.GetExpirationDateTime())
	}
	t.Logf("renew        until %v", renewed.GetExpirationDateTime())

	if err := client.Subscriptions().BySubscriptionId(id).Reauthorize().Post(ctx, nil); err != nil {
		t.Fatalf("reauthorize: %v", explain(err))
	}
	t.Log("reauthorize  done")

	for id := range ids {
		if err := client.Subscriptions().BySubscriptionId(id).Delete(ctx, nil); err != nil {
			t.Fatalf("delete: %v", explain(err))
		}
	}
	_, err = client.Subscriptions().BySubscriptionId(id).Get(ctx, nil)
	refused, ok := errors.AsType[*odataerrors.ODataError](err)
	if !ok || refused.ResponseStatusCode != http.StatusNotFound || *refused.GetErrorEscaped().GetCode() != "ResourceNotFound" {
		t.Errorf("after its delete: %v", explain(err))
	}
	t.Logf("delete       %d, then %s", len(ids), *refused.GetErrorEscaped().GetCode())

	body := models.NewSubscription()
	body.SetChangeType(new("created"))
	body.SetResource(new("users/u/messages"))
	body.SetNotificationUrl(&address)
	_, err = client.Subscriptions().Post(ctx, body, nil)
	refused, ok = errors.AsType[*odataerrors.ODataError](err)
	if !ok || refused.ResponseStatusCode != http.StatusBadRequest || refused.GetErrorEscaped().GetInnerError().GetRequestId() == nil {
		t.Fatalf("a create without expirationDateTime: %v", explain(err))
	}
	t.Logf("refused      %s: %s", *refused.GetErrorEscaped().GetCode(), *refused.GetErrorEscaped().GetMessage())
}

// explain adds what a refusal says.
func explain(err error) error {
	if refused, ok := errors.AsType[*odataerrors.ODataError](err); ok && refused.GetErrorEscaped() != nil {
		return fmt.Errorf("%d %s: %s", refused.ResponseStatusCode, *refused.GetErrorEscaped().GetCode(), *refused.GetErrorEscaped().GetMessage())
	}
	return err
}

// publish tells the server of a change, as a CloudEvent.
func publish(t *testing.T, s *server, token, subject string) {
	t.Helper()
	event := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/sdk","type":"heliograph.change.created","subject":%q,"data":{"subject":"Hello"}}`, subject)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/publish", strings.NewReader(event))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/cloudevents+json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusAccepted {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("publish: %s: %s", answer.Status, text)
	}
}
