package app_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/identity/devissuer"
)

// A server that plays a national cloud takes its tokens and no others, and lacks what the cloud lacks (contract 8.11,
// 20.4, 20.5).
func TestNationalCloud(t *testing.T) {
	t.Parallel()
	cfg := dev(t.TempDir())
	cfg.Catalog.Cloud = "china"
	a := start(t, app.Options{Config: cfg})
	hook, _ := listener(t)
	api, err := client.New(a.URL(), client.ClientCredentials(client.Credentials{
		TokenURL: a.URL() + "/common/oauth2/v2.0/token", ClientID: "11111111-0000-0000-0000-000000000001", ClientSecret: "any",
		Scope: "https://microsoftgraph.chinacloudapi.cn/.default",
	}))
	if err != nil {
		t.Fatal(err)
	}
	subscribe(t, api, "users/u1/messages", hook, time.Now().Add(time.Hour))
	_, err = api.CreateSubscription(t.Context(), client.Subscription{
		Resource: "teams/t1", ChangeType: "updated", NotificationURL: hook, ExpirationDateTime: time.Now().Add(time.Hour),
	})
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Rule != "create.resource.cloud" || e.Code != "ExtensionError" {
		t.Errorf("%v", err)
	}
	for audience, ok := range map[string]bool{
		"https://microsoftgraph.chinacloudapi.cn": true, "00000003-0000-0000-c000-000000000000": true, "https://graph.microsoft.com": false,
	} {
		token, _, err := a.Issuer().Mint(t.Context(), devissuer.MintRequest{Base: a.URL(), Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		by, err := client.New(a.URL(), client.StaticToken(token.Reveal()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := list(t, by); (err == nil) != ok {
			t.Errorf("a token for %s: %v", audience, err)
		}
	}
}

func list(t *testing.T, api *client.Client) (ids []string, err error) {
	t.Helper()
	for s, err := range api.Subscriptions(t.Context()) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, s.ID)
	}
	return ids, nil
}

// Limits that are set can be reached, pages go on after a restart, and counters are what they were.
func TestQuotaAndPagesAcrossARestart(t *testing.T) {
	t.Parallel()
	cfg := dev(t.TempDir())
	cfg.Catalog.Quotas = []config.Quota{{Name: "outlook.user", Limit: 2}}
	a := start(t, app.Options{Config: cfg})
	hook, _ := listener(t)
	until := time.Now().Add(time.Hour)
	refused := func(a *app.App) error {
		_, err := connect(t, a).CreateSubscription(t.Context(), client.Subscription{
			Resource: "users/u1/events", ChangeType: "created", NotificationURL: hook, ExpirationDateTime: until,
		})
		return err
	}
	for _, folder := range []string{"inbox", "drafts"} {
		subscribe(t, connect(t, a), "users/u1/mailFolders/"+folder+"/messages", hook, until)
	}
	if err := refused(a); !isQuota(err) {
		t.Errorf("%v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	a = start(t, app.Options{Config: cfg})
	if err := refused(a); !isQuota(err) {
		t.Errorf("after a restart: %v", err)
	}
	api := connect(t, a)
	ids, err := list(t, api)
	if err != nil || len(ids) != 2 {
		t.Fatalf("%v, %v", ids, err)
	}
	if err := api.DeleteSubscription(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	if err := refused(a); err != nil {
		t.Errorf("when there was room: %v", err)
	}
}

func isQuota(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Rule == "create.quota.mailbox" && e.Status == 429 // contract 5.34
}

// A configuration that asks for what there is not does not start.
func TestUnknownRules(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*config.Catalog){
		"cloud":   func(c *config.Catalog) { c.Cloud = "mars" },
		"profile": func(c *config.Catalog) { c.Profile = "1999" },
		"quota":   func(c *config.Catalog) { c.Quotas = []config.Quota{{Name: "x", Limit: 1}} },
		"file":    func(c *config.Catalog) { c.Resources = []string{"/nowhere.yaml"} },
	} {
		cfg := config.Default(config.Dev)
		change(&cfg.Catalog)
		var b strings.Builder
		if err := app.WriteRules(&b, cfg); err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
