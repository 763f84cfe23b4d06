package app

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/content"
	"heliograph.dev/internal/match"
	"heliograph.dev/internal/seal"
	"heliograph.dev/internal/seal/recent"
	"heliograph.dev/internal/seal/token"
)

// remembered bounds how many certificates and resources of rich subscriptions are kept parsed.
const remembered = 16 << 10

// sealer makes what rich notifications have besides: the encrypted content and the validation tokens.
type sealer struct {
	certs *seal.Certificates
	asked *recent.Cache[string, content.Asked]
	plain sync.Pool
	log   *slog.Logger
	// tokens makes a key at the first call, which takes a moment: a server without rich subscriptions never does.
	tokens func() (*token.Tokens, error)
	made   atomic.Pointer[token.Tokens] // nil before that
}

// keptPlain bounds the buffer for plaintext that is kept for the next notification.
const keptPlain = 64 << 10

func (a *App) setUpSealing(ctx context.Context) error {
	opts := token.Options{
		Base: a.tokenIssuer(), Sender: heliograph.AppID(a.cfg.Tokens.Sender), Now: a.clock.Now,
		Store: token.In(a.parts.engine),
	}
	if a.cfg.Tokens.Form == "v1" {
		opts.Form = token.V1
	}
	s := &sealer{
		certs: seal.NewCertificates(remembered), asked: recent.New[string, content.Asked](remembered),
		plain: sync.Pool{New: func() any { return new([]byte) }}, log: a.log,
	}
	inUse := make(chan *token.Tokens, 1)
	a.parts.sealer = s
	var making sync.Mutex
	s.tokens = func() (*token.Tokens, error) {
		if made := s.made.Load(); made != nil {
			return made, nil
		}
		making.Lock()
		defer making.Unlock()
		if made := s.made.Load(); made != nil {
			return made, nil
		}
		if err := a.adoptTokenKeys(ctx, opts.Store); err != nil {
			return nil, err
		}
		fresh, err := token.New(context.WithoutCancel(ctx), opts)
		if err != nil {
			return nil, err // the next call tries again
		}
		s.made.Store(fresh)
		inUse <- fresh
		return fresh, nil
	}
	a.life.background(ctx, "validation keys", func(ctx context.Context) {
		select {
		case tokens := <-inUse:
			tokens.Run(ctx, a.clock, func(err error) { a.log.WarnContext(ctx, "validation keys not refreshed", "error", err) })
		case <-ctx.Done():
		}
	})
	return nil
}

// adoptTokenKeys moves the keys that versions before this one kept in a file into the engine.
func (a *App) adoptTokenKeys(ctx context.Context, store token.Store) error {
	if a.cfg.Data == "" {
		return nil
	}
	path := filepath.Join(a.cfg.Data, "validation-keys.pem")
	old, err := os.ReadFile(path) //nolint:gosec // in the operator's folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = token.Adopt(context.WithoutCancel(ctx), store, old)
	}
	if err != nil {
		return fmt.Errorf("take the keys over from %s: %w", path, err)
	}
	return os.Remove(path)
}

// tokenIssuer is the base of the issuer that validation tokens name; empty means Microsoft's.
func (a *App) tokenIssuer() string {
	own := ""
	if a.isDev() {
		own = a.URL()
	}
	return cmp.Or(a.cfg.Tokens.Issuer, a.cfg.PublicURL, own)
}

// AppendContent seals what a subscription is told of a change. The plaintext is wiped.
func (s *sealer) AppendContent(b []byte, t *match.Target, change *heliograph.Change, i *catalog.Instance) ([]byte, error) {
	cert, err := s.certs.Parse(t.Rich.Certificate)
	if err != nil {
		return b, err
	}
	asked, known := s.asked.Get(t.Resource)
	if !known {
		if asked, err = content.AskedBy(t.Resource, false); err != nil {
			return b, err
		}
		s.asked.Put(t.Resource, asked)
	}
	asked.UnknownMembers = t.Flags&match.UnknownEnumMembers != 0
	buf, _ := s.plain.Get().(*[]byte)
	defer func() {
		clear((*buf)[:cap(*buf)])
		if cap(*buf) <= keptPlain {
			s.plain.Put(buf)
		}
	}()
	*buf, err = content.Append((*buf)[:0], t.Row, asked, change.Data, content.Instance{
		ODataType: i.ODataType(true), ODataID: i.ODataID(t.Resource, true), ID: i.ID(),
		Renamed: t.TellsImmutableID(change),
	})
	if err != nil {
		return b, err
	}
	return cert.AppendContent(b, t.Rich.CertificateID, *buf)
}

// advice tells an owner what is to be said about the certificate of a subscription.
func (a *App) advice(s *heliograph.Subscription) (said []string) {
	if s.EncryptionCertificate == "" {
		return nil
	}
	cert, err := a.parts.sealer.certs.Parse(s.EncryptionCertificate)
	if err != nil {
		return []string{"the encryption certificate cannot be used"}
	}
	for _, w := range cert.Warnings(a.clock.Now()) {
		said = append(said, w.Text)
	}
	return said
}

// Token returns a validation token for an application of a tenant.
func (s *sealer) Token(tenant heliograph.TenantID, audience heliograph.AppID) (string, error) {
	tokens, err := s.tokens()
	if err != nil {
		return "", fmt.Errorf("sign a validation token: %w", err)
	}
	return tokens.Token(tenant, audience)
}

// signed is how many validation tokens were signed.
func (s *sealer) signed() uint64 {
	if tokens := s.made.Load(); tokens != nil {
		return tokens.Signed()
	}
	return 0
}

// certificates are those of the keys that validation tokens are signed with.
func (s *sealer) certificates() ([]*x509.Certificate, error) {
	tokens, err := s.tokens()
	if err != nil {
		return nil, err
	}
	return tokens.Certificates(), nil
}

// ServeHTTP publishes the keys of validation tokens where receivers look for them (contract 13.14).
func (s *sealer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tokens, err := s.tokens()
	if err != nil {
		s.log.ErrorContext(r.Context(), "keys of validation tokens not published", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	tokens.ServeHTTP(w, r)
}
