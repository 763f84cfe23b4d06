package cli

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) token() *cobra.Command {
	var r client.TokenRequest
	c := &cobra.Command{
		Use:   "token",
		Short: "Mint an access token at a development server",
		Long: `Mint an access token for any application, user and permissions. Only heliograph dev does this.

The token is printed alone, so that it can be used in a script.`,
		Example: `  curl -H "Authorization: Bearer $(heliograph token)" http://127.0.0.1:8080/v1.0/subscriptions
  heliograph token --user demo --scope Mail.Read
  heliograph token --role Mail.Read --lifetime 5m`,
		Args: cobra.NoArgs,
	}
	to := t.serverFlags(c)
	f := c.Flags()
	f.StringVar(&r.Tenant, "tenant", "", "the tenant, a GUID or a domain (default: the server's)")
	f.StringVar(&r.App, "app", "", "the application's id (default: --client-id, the one that other commands speak for)")
	f.StringVar(&r.User, "user", "", "make it a user's token: an object id or a principal name")
	f.StringSliceVar(&r.Scopes, "scope", nil, "a user's permission; may be repeated (default: all)")
	f.StringSliceVar(&r.Roles, "role", nil, "an application's permission; may be repeated (default: all)")
	f.StringSliceVar(&r.DirectoryRoles, "directory-role", nil, "a directory role of the user, by template id; may be repeated")
	f.StringVar(&r.Audience, "audience", "", "what the token is for (default: Graph)")
	f.DurationVar(&r.Lifetime, "lifetime", time.Hour, "how long it holds; below zero, it ended that long ago")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		r.App = cmp.Or(r.App, to.clientID)
		token, err := api.MintToken(c.Context(), r)
		if err != nil {
			return explain(err)
		}
		if t.asJSON() {
			return json.NewEncoder(t.Out).Encode(token) //nolint:gosec // a token is what was asked for
		}
		t.printf("%s\n", token.Text)
		return nil
	}
	return c
}
