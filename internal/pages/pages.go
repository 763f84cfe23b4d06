// Package pages is what people see of a server: pages in a browser that show what is going on and have a button for
// what can be done. They stand on the control API and on nothing else: what a page shows, a program can have too, and
// a caller sees in them what the API shows to that caller.
//
// The pages are files that are part of the binary: one HTML page, one style sheet, modules of plain JavaScript. Nothing
// is built and nothing is loaded from elsewhere. The address of each file but the page has the digest of all of them in
// it, so that it can be kept for ever and a new server is never shown with an old one's files.
//
// What is published is data of others, and some of it hostile. The pages make elements and set their text; they never
// make HTML of data, which the browser is told to refuse (Content-Security-Policy with trusted types). No script, style,
// image or connection goes to another origin, and no other page may frame these.
//
// A page asks how to prove itself (POST /session), which answers to a page of the same origin only. In development, a
// browser on the server's own machine is given a token without more ado, and only under a name of this machine: neither
// another site nor a name that is made to point here gets one. Where people sign in, it is told where.
//
// A Pages may be used by any number of goroutines.
package pages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/origin"
)

//go:embed assets
var files embed.FS

// Token is an access token for the pages.
type Token struct {
	Text    heliograph.Secret
	Expires time.Time
}

// Options say what the pages work with.
type Options struct {
	// Session makes a token for a browser on this machine, which knows the server by an origin such as
	// http://127.0.0.1:8080. Nil: nobody gets one.
	Session func(ctx context.Context, origin string) (Token, error)
	// SignIn is where people sign in, whose session then stands for a token (internal/signin). Empty: nowhere.
	SignIn string
	// TrustedProxies are believed about the origin.
	TrustedProxies []netip.Prefix
	Logger         *slog.Logger
}

// Pages is an http.Handler for the paths that Handles knows.
type Pages struct {
	opts    Options
	version string
	index   []byte
	assets  map[string]asset
	forgery *http.CrossOriginProtection
}

type asset struct {
	media string
	body  []byte
}

const (
	assetsPath  = "/assets/"
	sessionPath = "/session"
	indexFile   = "index.html"
	placeholder = "ASSETS" // in the page: where the other files are
)

// policy is the pages' Content-Security-Policy.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// New returns the pages.
func New(opts Options) (*Pages, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pages{opts: opts, assets: map[string]asset{}, forgery: http.NewCrossOriginProtection()}
	digest := sha256.New()
	err := fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "assets/")
		digest.Write([]byte(name))
		digest.Write(body)
		p.assets[name] = asset{mediaOf(name), body}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.version = hex.EncodeToString(digest.Sum(nil))[:16]
	p.index = bytes.ReplaceAll(p.assets[indexFile].body, []byte(placeholder), []byte(assetsPath+p.version))
	delete(p.assets, indexFile)
	return p, nil
}

// mediaOf returns the type of a file, whatever the machine's own table says.
func mediaOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// Handles reports whether ServeHTTP has an answer for a path.
func (p *Pages) Handles(at string) bool {
	return at == "/" || at == sessionPath || strings.HasPrefix(at, assetsPath)
}

// ServeHTTP answers with a page, a file or a token.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	switch {
	case r.URL.Path == sessionPath:
		p.session(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed, "Look at this with GET.")
	case r.URL.Path == "/":
		h.Set("Cache-Control", "no-store")
		write(w, asset{"text/html; charset=utf-8", p.index})
	default:
		p.file(w, r)
	}
}

// file answers with one of the files. Those of another version are not there any more: a page that asks for them is to
// be loaded anew.
func (p *Pages) file(w http.ResponseWriter, r *http.Request) {
	version, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, assetsPath), "/")
	found, ok := p.assets[name]
	if !ok || version != p.version {
		w.Header().Set("Cache-Control", "no-store")
		refuse(w, http.StatusNotFound, "There is no such file in this version.")
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	write(w, found)
}

// session gives a token to a page of this server in a browser on this machine.
func (p *Pages) session(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	at := origin.Proxies(p.opts.TrustedProxies).Of(r)
	if why := p.refusal(r, at); why != "" {
		refuse(w, http.StatusForbidden, why)
		return
	}
	body, err := p.admit(r.Context(), at)
	if err != nil {
		p.opts.Logger.ErrorContext(r.Context(), "no token for the pages", "error", err)
		refuse(w, http.StatusInternalServerError, "internal error")
		return
	}
	write(w, asset{"application/json; charset=utf-8", body})
}

// admit says how a page is to prove itself from now on: with a token, or by a session of the browser.
func (p *Pages) admit(ctx context.Context, at origin.Origin) ([]byte, error) {
	if p.opts.SignIn != "" {
		return json.Marshal(map[string]string{"signIn": p.opts.SignIn})
	}
	token, err := p.opts.Session(ctx, at.String())
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"token": token.Text.Reveal(), "expires": token.Expires.UTC().Format(time.RFC3339)})
}

// refusal says why a request for a token is not answered with one, or nothing.
func (p *Pages) refusal(r *http.Request, at origin.Origin) string {
	sameOrigin := r.Header.Get("Sec-Fetch-Site") == "same-origin" || r.Header.Get("Origin") == at.String()
	switch {
	case p.opts.Session == nil && p.opts.SignIn == "":
		return "This server gives no tokens to pages."
	case r.Method != http.MethodPost:
		return "A token is asked for with POST."
	case !sameOrigin || p.forgery.Check(r) != nil:
		return "Only a page of this server may ask for a token."
	case p.opts.SignIn == "" && (!at.IsLocal() || !isLoopback(r.RemoteAddr)):
		return "Only a browser on the server's own machine is given a token without asking."
	}
	return ""
}

// isLoopback reports whether a peer is on this machine.
func isLoopback(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

func write(w http.ResponseWriter, a asset) {
	w.Header().Set("Content-Type", a.media)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	_, _ = w.Write(a.body) // the client may be gone
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(why + "\n"))
}

// Assets lists the files that the page may ask for.
func (p *Pages) Assets() []string {
	var names []string
	for name := range p.assets {
		names = append(names, assetsPath+p.version+"/"+name)
	}
	slices.Sort(names)
	return names
}
