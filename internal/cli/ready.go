package cli

import (
	"cmp"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) ready() *cobra.Command {
	var server string
	c := &cobra.Command{
		Use:   "ready",
		Short: "Ask a server whether it can work",
		Long: `Ask a server whether it can work: the exit code is 0 when it says so. It is the health check of containers in which
there is nothing but this binary; who can ask over HTTP asks /readyz.`,
		Example: `  heliograph ready --server http://127.0.0.1:8080`,
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&server, "server", cmp.Or(t.getenv("HELIOGRAPH_SERVER"), defaultServer), "the server's address (HELIOGRAPH_SERVER)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := client.New(server, nil)
		if err != nil {
			return usageError{err}
		}
		if err := api.Ready(c.Context()); err != nil {
			return explain(err)
		}
		t.printf("%s is ready\n", server)
		return nil
	}
	return c
}
