package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

// target says which server a command speaks to, and as whom.
type target struct {
	server, token, tokenURL, clientID, clientSecret string
}

const defaultServer = "http://127.0.0.1:8080"

// serverFlags adds the flags of a command that speaks to a server.
func (t *tool) serverFlags(c *cobra.Command) *target {
	to := &target{}
	f := c.PersistentFlags()
	f.StringVar(&to.server, "server", cmp.Or(t.getenv("HELIOGRAPH_SERVER"), defaultServer), "the server's address (HELIOGRAPH_SERVER)")
	f.StringVar(&to.token, "token", "", "the access token (HELIOGRAPH_TOKEN); left out: one is asked for with the client id and secret")
	f.StringVar(&to.tokenURL, "token-url", t.getenv("HELIOGRAPH_TOKEN_URL"), "where tokens are given (HELIOGRAPH_TOKEN_URL); left out: the server's own, in dev")
	f.StringVar(&to.clientID, "client-id", cmp.Or(t.getenv("HELIOGRAPH_CLIENT_ID"), "heliograph-cli"), "the application's id (HELIOGRAPH_CLIENT_ID)")
	f.StringVar(&to.clientSecret, "client-secret", "", "the application's secret (HELIOGRAPH_CLIENT_SECRET); any, in dev")
	return to
}

// connect returns a client of the server that the flags name.
func (t *tool) connect(to *target) (*client.Client, error) {
	if token := cmp.Or(to.token, t.getenv("HELIOGRAPH_TOKEN")); token != "" {
		return client.New(to.server, client.StaticToken(token))
	}
	credentials := client.Credentials{
		TokenURL: to.tokenURL, ClientID: to.clientID, ClientSecret: cmp.Or(to.clientSecret, t.getenv("HELIOGRAPH_CLIENT_SECRET"), "any"),
	}
	if credentials.TokenURL == "" { // dev's own issuer, which knows Graph by the server's address in every cloud
		base := strings.TrimRight(to.server, "/")
		credentials.TokenURL, credentials.Scope = base+"/common/oauth2/v2.0/token", base+"/.default"
	}
	return client.New(to.server, client.ClientCredentials(credentials))
}

// explain adds to a server's refusal what helps to go on.
func explain(err error) error {
	var refused *client.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("%w\nIs the server running? Start one with: heliograph dev", err)
	}
	text := fmt.Sprintf("%d %s: %s", refused.Status, refused.Code, refused.Message)
	if refused.Rule != "" {
		text += fmt.Sprintf("\n  rule        %s", refused.Rule)
	}
	if refused.RequestID != "" {
		text += fmt.Sprintf("\n  request-id  %s", refused.RequestID)
	}
	return errors.New(text)
}

// until reads when something ends: a duration from now (3d, 12h, 4320m) or a moment (RFC 3339).
func until(text string, from time.Time) (time.Time, error) {
	if moment, err := time.Parse(time.RFC3339, text); err == nil {
		return moment, nil
	}
	d, err := span(text)
	if err != nil {
		return time.Time{}, usageError{fmt.Errorf("%q is neither a time span (3d, 12h, 90m) nor a moment (2026-11-22T12:00:00Z)", text)}
	}
	return from.Add(d), nil
}

// span reads a time span: 3d, 12h, 90m.
func span(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		d, err := time.ParseDuration(days + "h")
		if err == nil {
			return 24 * d, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, usageError{fmt.Errorf("%q is no time span such as 3d, 12h or 90m", text)}
	}
	return d, nil
}

// serverNow is the server's time: that of a development server may be another than the machine's. Who may not ask for
// it, or asks a server that is not ours, takes the machine's.
func serverNow(ctx context.Context, api *client.Client) time.Time {
	c, err := api.Clock(ctx)
	if err != nil {
		return now()
	}
	return c.Now
}
