package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"heliograph.dev"
	"heliograph.dev/internal/listen"
	"heliograph.dev/receiver"
)

func (t *tool) listen() *cobra.Command {
	var address, forwardTo, clientState, cert, key, certID, issuer string
	var apps []string
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
	c.Flags().StringVar(&cert, "cert", "", "the certificate (PEM) that resource data is encrypted for; see heliograph cert")
	c.Flags().StringVar(&key, "key", "", "its key (PEM)")
	c.Flags().StringVar(&certID, "cert-id", "", "its encryptionCertificateId (default: the file's name up to the first dot)")
	c.Flags().StringSliceVar(&apps, "app", nil, "verify validation tokens for this application id; may be repeated")
	c.Flags().StringVar(&issuer, "issuer", defaultServer, "whose validation tokens are believed: a Heliograph server's address, or microsoft")
	c.RunE = func(c *cobra.Command, _ []string) error {
		keys, err := openingKeys(cert, key, certID)
		if err != nil {
			return err
		}
		verifier, err := verifierOf(apps, issuer)
		if err != nil {
			return err
		}
		opts := listen.Options{
			Keys: keys, Verifier: verifier,
			Out: t.Out, Color: t.colors(), ForwardTo: forwardTo, ClientState: heliograph.NewSecret(clientState),
			Now: now, Logger: t.logger(0, "text"),
		}
		if t.asJSON() {
			opts.Format = listen.JSON
		}
		hook, err := listen.New(opts)
		if err != nil {
			return err
		}
		l, err := new(net.ListenConfig).Listen(c.Context(), "tcp", address)
		if err != nil {
			return fmt.Errorf("listen on %s: %w (--listen takes another address)", address, err)
		}
		_, _ = fmt.Fprintf(t.Err, "listening on http://%s/ (stop with ctrl-c)\n", l.Addr())
		return hook.Serve(c.Context(), l)
	}
	return c
}

// openingKeys reads the key that resource data is opened with.
func openingKeys(cert, key, id string) (*receiver.Keys, error) {
	if cert == "" && key == "" {
		return nil, nil //nolint:nilnil // no key is a choice, not a failure
	}
	if cert == "" || key == "" {
		return nil, usageError{errors.New("--cert and --key go together")}
	}
	certPEM, err := os.ReadFile(cert) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(key) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	if id == "" {
		id, _, _ = strings.Cut(filepath.Base(cert), ".")
	}
	keys := new(receiver.Keys)
	return keys, keys.AddPEM(id, certPEM, keyPEM)
}

// verifierOf makes what verifies validation tokens for applications, if there are any.
func verifierOf(apps []string, issuer string) (*receiver.TokenVerifier, error) {
	if len(apps) == 0 {
		return nil, nil //nolint:nilnil // not to verify is a choice, not a failure
	}
	authority := receiver.Microsoft()
	if issuer != "microsoft" {
		authority = receiver.Heliograph(issuer)
	}
	return receiver.NewTokenVerifier(receiver.TokenOptions{AppIDs: apps, Authorities: []receiver.Authority{authority}, Now: now})
}
