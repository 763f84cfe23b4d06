package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/receiver"
)

func (t *tool) cert() *cobra.Command {
	var (
		opts receiver.SelfSignedOptions
		dir  string
	)
	c := &cobra.Command{
		Use:   "cert",
		Short: "Make a certificate to subscribe with resource data, and print what to paste",
		Long: `Make a subscriber's certificate and key: the server encrypts resource data for it, the receiver opens them with
the key. It is self-signed: nobody checks more than the key in it.

The files are ID.crt.pem and ID.key.pem in --out; the key is a secret. Files that exist are not replaced. Printed are the
properties for the body of a create or update request.`,
		Example: `  heliograph cert --id first
  heliograph listen --cert first.crt.pem --key first.key.pem`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&opts.ID, "id", "", "the encryptionCertificateId (default: the certificate's thumbprint)")
	f.IntVar(&opts.Bits, "bits", 2048, "the size of the key: 2048 to 4096")
	f.DurationVar(&opts.Validity, "validity", 365*24*time.Hour, "how long the certificate says that it holds")
	f.StringVar(&dir, "out", ".", "the folder for the two files")
	c.RunE = func(*cobra.Command, []string) error {
		opts.Now = now
		s, err := receiver.SelfSigned(opts)
		if err != nil {
			return usageError{err}
		}
		base := filepath.Join(dir, filepath.Base(s.EncryptionCertificateID))
		if err := writeNew(base+".crt.pem", s.CertificatePEM, 0o644); err != nil {
			return err
		}
		if err := writeNew(base+".key.pem", s.KeyPEM, 0o600); err != nil {
			return err
		}
		if t.asJSON() {
			return json.NewEncoder(t.Out).Encode(json.RawMessage(s.Fields()))
		}
		_, _ = fmt.Fprintf(t.Err, "certificate  %s\nkey          %s (keep it secret)\n", base+".crt.pem", base+".key.pem")
		t.printf("%s\n", s.Fields())
		return nil
	}
	return c
}

// writeNew writes a file that must not exist yet.
func writeNew(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
