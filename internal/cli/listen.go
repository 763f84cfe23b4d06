package cli

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"heliograph.dev"
	"heliograph.dev/internal/listen"
)

func (t *tool) listen() *cobra.Command {
	var address, forwardTo, clientState string
	c := &cobra.Command{
		Use:   "listen",
		Short: "Receive notifications, print them, and forward them",
		Long: `Receive notifications: answer the handshake, print each notification as it comes, and pass requests on to
--forward-to when given. The URL that it prints is the notificationUrl to subscribe with.`,
		Example: `  heliograph listen
  heliograph listen --forward-to http://localhost:3000/webhook
  heliograph listen --output json | jq .resource`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&address, "listen", "127.0.0.1:9090", "where to receive, as host:port")
	c.Flags().StringVar(&forwardTo, "forward-to", "", "pass every request on to this URL; its answer is the sender's answer")
	c.Flags().StringVar(&clientState, "client-state", "", "the clientState that notifications must carry; others are marked")
	c.RunE = func(c *cobra.Command, _ []string) error {
		opts := listen.Options{
			Out: t.Out, Color: t.colors(), ForwardTo: forwardTo, ClientState: heliograph.NewSecret(clientState),
			Now: now, Logger: t.logger(0, "text"),
		}
		if t.asJSON() {
			opts.Format = listen.JSON
		}
		receiver, err := listen.New(opts)
		if err != nil {
			return err
		}
		l, err := new(net.ListenConfig).Listen(c.Context(), "tcp", address)
		if err != nil {
			return fmt.Errorf("listen on %s: %w (--listen takes another address)", address, err)
		}
		_, _ = fmt.Fprintf(t.Err, "listening on http://%s/ (stop with ctrl-c)\n", l.Addr())
		return receiver.Serve(c.Context(), l)
	}
	return c
}
