package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
)

func (t *tool) dev() *cobra.Command {
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a server for development, on this machine only",
		Long: `Run a server on loopback with nothing to configure: it has its own identity issuer, which gives any client id
with any secret a token with every permission, and delivers to loopback endpoints over http and https.

https is answered with a certificate of a local authority that is made once; clients that speak https only
need to trust its certificate, whose path is printed (NODE_EXTRA_CA_CERTS=… for Node).

Without --data everything is kept in a temporary folder and removed at the end.`,
		Example: `  heliograph dev
  heliograph dev --data ./heliograph-data --drive demo=./files
  heliograph dev --http 127.0.0.1:0 --output json   # for a program that starts it`,
		Args: cobra.NoArgs,
	}
	config.AddFlags(c.Flags(), config.Dev)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return t.runServer(c, config.Dev, t.welcome)
	}
	return c
}

// welcome prints what a client needs to paste.
func (t *tool) welcome(a *app.App, took time.Duration) {
	if t.asJSON() {
		t.welcomeProgram(a, took)
		return
	}
	t.printf("heliograph dev is ready (%d ms)\n\n", took.Milliseconds())
	t.printf("  Graph    %s/v1.0\n", a.URL())
	if secure := a.SecureURL(); secure != "" && secure != a.URL() {
		t.printf("           %s/v1.0\n", secure)
		if ca := a.CACertificate(); ca != "" {
			t.printf("           trust %s\n", ca)
		}
	}
	t.printf("  Pages    %s/\n", a.URL())
	t.printf("  Tokens   %s/%s/oauth2/v2.0/token\n", a.URL(), a.Issuer().DefaultTenant())
	t.printf("           any client_id, any client_secret, scope=https://graph.microsoft.com/.default\n")
	t.printf("  Data     %s\n\n", a.DataDir())
	server := ""
	if a.URL() != defaultServer {
		server = " --server " + a.URL()
	}
	t.printf(`Your first notification, in two more terminals:

  heliograph listen

  heliograph subscriptions create users/demo/messages --url http://127.0.0.1:9090/%[1]s
  heliograph publish users/demo/messages/1 --data '{"subject":"Hello"}'%[1]s

`, server)
}

// welcomeProgram says the same in one line, for the program that has started the server.
func (t *tool) welcomeProgram(a *app.App, took time.Duration) {
	tenant := a.Issuer().DefaultTenant()
	text, err := json.Marshal(struct {
		URL       string              `json:"url"`
		SecureURL string              `json:"secureUrl"`
		CA        string              `json:"ca"`
		Tenant    heliograph.TenantID `json:"tenant"`
		TokenURL  string              `json:"tokenUrl"`
		Data      string              `json:"data"`
		ReadyMs   int64               `json:"readyMs"`
	}{a.URL(), a.SecureURL(), a.CACertificate(), tenant, fmt.Sprintf("%s/%s/oauth2/v2.0/token", a.URL(), tenant), a.DataDir(), took.Milliseconds()})
	if err == nil { // always: they are texts and a number
		t.printf("%s\n", text)
	}
}
