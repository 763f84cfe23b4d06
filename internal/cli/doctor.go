package cli

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"heliograph.dev"
	"heliograph.dev/internal/doctor"
	"heliograph.dev/internal/outbound"
	"heliograph.dev/internal/seal"
)

// examination is what the flags of heliograph doctor say.
type examination struct {
	doctor.Options
	clientState, cert, app, tenant string
	keys                           string // where the keys of validation tokens are published
	trust                          string // a PEM file of authorities
	junit                          string
	least                          int
}

func (t *tool) doctor() *cobra.Command {
	var x examination
	c := &cobra.Command{
		Use:   "doctor URL",
		Short: "Check anyone's receiver: what would go wrong with it in production, and how to mend it",
		Long: `Examine a receiver of change notifications from outside: the handshake with friendly and hostile tokens, single
and many notifications, duplicates, forged ones, lifecycle events, resource data, large and many requests at once. Each
finding says what was seen, why it matters in production and how to mend it; a score sums it up.

The receiver gets real requests with made-up content: examine one that may have them. Say what it expects with
--subscription, --client-state and --resource. Resource data is checked with --cert and --app: the receiver has to trust
validation tokens of the issuer at --keys, where their keys are published as long as the command runs.

Exit code 1 says that a check failed, or that the score is below --least.`,
		Example: `  heliograph doctor http://localhost:3000/notify --client-state s3cret
  heliograph doctor https://app.example.org/notify --cert app.crt.pem --cert-id app --app 1b0f…
  heliograph doctor http://localhost:3000/notify --junit report.xml`,
		Args: cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&x.LifecycleURL, "lifecycle-url", "", "the lifecycleNotificationUrl (default: URL)")
	f.StringVar(&x.clientState, "client-state", "", "the clientState that the receiver expects")
	f.StringVar(&x.Subscription, "subscription", "", "the id of a subscription that the receiver knows (default: a made-up one)")
	f.StringVar(&x.Resource, "resource", "Users/doctor/Messages", "what notifications are about")
	f.StringVar(&x.tenant, "tenant", "", "the tenant's id (default: a made-up one)")
	f.StringVar(&x.cert, "cert", "", "the receiver's certificate (PEM), for resource data")
	f.StringVar(&x.CertificateID, "cert-id", "", "its encryptionCertificateId (default: the file's name up to the first dot)")
	f.StringVar(&x.app, "app", "", "the application's id, which validation tokens are for")
	f.StringVar(&x.keys, "keys", "127.0.0.1:8080", "where to publish the keys of validation tokens, as host:port: the address of the issuer that the receiver trusts")
	f.StringVar(&x.trust, "trust", "", "authorities (PEM) that the receiver's https certificate may be of, besides the system's")
	f.StringVar(&x.junit, "junit", "", "write the report as JUnit's XML into this file too")
	f.IntVar(&x.least, "least", 0, "fail below this score")
	c.RunE = func(c *cobra.Command, args []string) error {
		x.URL = args[0]
		return t.examine(c.Context(), &x)
	}
	return c
}

func (t *tool) examine(ctx context.Context, x *examination) error {
	caller, err := x.caller()
	if err != nil {
		return err
	}
	defer caller.Close()
	for _, to := range []string{x.URL, x.LifecycleURL} {
		if to == "" {
			continue
		}
		if err := caller.CheckURL(to); err != nil {
			return usageError{err}
		}
	}
	x.Caller, x.Now = caller, now
	x.ClientState = heliograph.NewSecret(x.clientState)
	if x.Tenant = heliograph.TenantID(x.tenant); x.Tenant == "" {
		x.Tenant = heliograph.TenantID(heliograph.DeriveGUID("tenant", "doctor").String())
	}
	stop, err := x.prepareSealing(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if !t.asJSON() {
		x.Saw = t.showFinding
		t.printf("Examining %s\n", withoutQuery(x.URL))
	}
	report := doctor.Examine(ctx, x.Options)
	report.URL = withoutQuery(x.URL)
	if err := t.showReport(report, x.junit); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if report.Failed > 0 || report.Score < x.least {
		return errFailed
	}
	return nil
}

// caller may call every address: it is the user who says which.
func (x *examination) caller() (*outbound.Client, error) {
	o := outbound.Options{
		AllowLoopback: true, AllowHTTP: true, Now: now,
		AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	}
	if x.trust != "" {
		text, err := os.ReadFile(x.trust)
		if err != nil {
			return nil, err
		}
		if o.RootCAs, err = x509.SystemCertPool(); err != nil {
			o.RootCAs = x509.NewCertPool()
		}
		if !o.RootCAs.AppendCertsFromPEM(text) {
			return nil, usageError{fmt.Errorf("%s holds no certificate in PEM", x.trust)}
		}
	}
	return outbound.New(o), nil
}

// prepareSealing reads the certificate and publishes the keys of validation tokens, where resource data is to be checked.
func (x *examination) prepareSealing(ctx context.Context) (stop func(), err error) {
	if x.cert == "" && x.app == "" {
		return func() {}, nil
	}
	if x.cert == "" || x.app == "" {
		return nil, usageError{errors.New("--cert and --app go together")}
	}
	text, err := os.ReadFile(x.cert)
	if err != nil {
		return nil, err
	}
	if x.Certificate, err = seal.ParseCertificate(base64.StdEncoding.EncodeToString(text)); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", x.cert, err)}
	}
	if x.CertificateID == "" {
		x.CertificateID, _, _ = strings.Cut(filepath.Base(x.cert), ".")
	}
	x.App = heliograph.AppID(x.app)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", x.keys)
	if err != nil {
		return nil, fmt.Errorf("publish the keys of validation tokens: %w (--keys takes another address)", err)
	}
	issuers, err := doctor.PublishKeys(ctx, l, now)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	x.V2, x.V1, x.Stranger = issuers.V2, issuers.V1, issuers.Stranger
	return func() { _ = issuers.Close() }, nil
}

// withoutQuery is a URL as it may be shown: its query may hold a secret.
func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the endpoint"
	}
	u.RawQuery = ""
	return u.Redacted()
}

func (t *tool) showFinding(f doctor.Finding) {
	mark, colour := "✔", "32"
	switch f.Verdict {
	case doctor.Warned:
		mark, colour = "!", "33"
	case doctor.Failed:
		mark, colour = "✘", "31"
	case doctor.Skipped:
		mark, colour = "-", "2"
	case doctor.Passed:
	}
	line := fmt.Sprintf("%s %-13s  %s", mark, f.Group, f.Title)
	if t.colors() {
		line = "\x1b[" + colour + "m" + mark + "\x1b[0m" + strings.TrimPrefix(line, mark)
	}
	t.printf("%s\n", line)
	const indent = "                 "
	if f.Verdict == doctor.Passed {
		return
	}
	t.printf("%s%s\n", indent, f.Seen)
	if f.Matters != "" {
		t.printf("%swhy it matters: %s\n%show to mend it: %s\n", indent, f.Matters, indent, f.Mend)
	}
}

func (t *tool) showReport(r *doctor.Report, junit string) error {
	if junit != "" {
		if err := writeFile(junit, r.WriteJUnit); err != nil {
			return err
		}
	}
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(r)
	}
	t.printf("\nScore %d of 100: %d passed, %d to look at, %d failed, %d left out\n", r.Score, r.Passed, r.Warned, r.Failed, r.Skipped)
	return nil
}
