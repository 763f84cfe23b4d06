package devissuer

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	methodS256  = "S256"
	methodPlain = "plain"

	modeQuery    = "query"
	modeFragment = "fragment"
	modeForm     = "form_post"

	rememberUse    = "heliograph sign-in"
	rememberCookie = "heliograph-signed-in"
	rememberFor    = 24 * time.Hour

	maxQuery = 16 << 10
)

// authorization is a request to sign somebody in and send them back.
type authorization struct {
	tokenRequest

	redirect         *url.URL
	mode             string
	code, idToken    bool // which are wanted
	challenge        string
	challengeMethod  string
	state            string
	wants            *wishes
	prompt, hint     string
	wantsClientInfo  bool
	correlation      string
	redirectVerbatim string
}

// authorize signs people in on a page, and sends them back.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request, at place) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD, POST")
		i.showFault(w, r, badRequest("invalid_request", 900561, "The endpoint only accepts GET and POST requests. Received a %s request.", cut(r.Method)))
		return
	}
	a, f := i.readAuthorization(r, at)
	if f != nil { // nobody knows whether the address is the application's: the person is told, here
		i.showFault(w, r, f)
		return
	}
	if f := a.read(i); f != nil {
		i.sendBack(w, r, a, a.faultParameters(f, i.now()))
		return
	}
	if r.Method == http.MethodPost {
		i.signIn(w, r, a)
		return
	}
	user, known := i.remembered(r, &a.tokenRequest)
	switch {
	case a.prompt == "none" && !known:
		i.sendBack(w, r, a, a.faultParameters(badRequest("login_required", 50058,
			"Session information is not sufficient for single-sign-on: a silent sign-in request was sent but no user is signed in."), i.now()))
	case a.prompt == "none":
		i.grantCode(w, r, a, &user)
	default:
		i.showSignIn(w, r, &signInPage{what: a, hint: a.hint, remembered: user.UPN})
	}
}

// readAuthorization reads what has to be right before anything is sent back: the application, and where it is.
func (i *Issuer) readAuthorization(r *http.Request, at place) (*authorization, *fault) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, badRequest("invalid_request", 90015, "The request query string is too long.")
	}
	a := &authorization{tokenRequest: tokenRequest{place: at, form: r.URL.Query()}, correlation: correlationID(r)}
	var err error
	if a.tenantID, a.anyTenant, err = i.resolveTenant(at.tenant); err != nil {
		return nil, unknownTenant(at.tenant)
	}
	id := a.form.Get("client_id")
	if id == "" {
		return nil, missing("client_id")
	}
	app, known := i.application(id)
	if !known || !validName(id) {
		return nil, badRequest("unauthorized_client", 700016, "Application with identifier '%s' was not found in the directory '%s'.", cut(id), a.tenantID)
	}
	a.app = app
	a.redirectVerbatim = a.form.Get("redirect_uri")
	if a.redirectVerbatim == "" && len(app.RedirectURIs) == 1 {
		a.redirectVerbatim = app.RedirectURIs[0]
	}
	var f *fault
	if a.redirect, f = i.redirectOf(&app, a.redirectVerbatim); f != nil {
		return nil, f
	}
	a.state = a.form.Get("state")
	for kind := range strings.FieldsSeq(a.form.Get("response_type")) {
		a.idToken = a.idToken || kind == "id_token"
	}
	if a.mode = a.form.Get("response_mode"); a.mode == "" {
		if a.mode = modeQuery; a.idToken {
			a.mode = modeFragment
		}
	}
	if !slices.Contains([]string{modeQuery, modeFragment, modeForm}, a.mode) {
		return nil, badRequest("invalid_request", 70007, "'%s' is not a supported value of 'response_mode' when requesting a token.", cut(a.mode))
	}
	if a.mode == modeQuery && a.idToken {
		return nil, badRequest("invalid_request", 70007, "'query' is not a supported value of 'response_mode' when requesting a token.")
	}
	return a, nil
}

// read reads the rest: what is wrong with it is told to the application.
func (a *authorization) read(i *Issuer) *fault {
	kinds := strings.Fields(a.form.Get("response_type"))
	if len(kinds) == 0 {
		return missing("response_type")
	}
	for _, kind := range kinds {
		switch kind {
		case "code":
			a.code = true
		case "id_token":
		default:
			return badRequest("unsupported_response_type", 70005, "The response_type '%s' is not supported: code, id_token and code id_token are.", cut(kind))
		}
	}
	nonce := a.form.Get("nonce")
	if a.idToken && nonce == "" {
		return badRequest("invalid_request", 90014, "The required field 'nonce' is missing from the credential. Ensure that you have all the necessary parameters for the login request.")
	}
	a.nonce = nonce
	a.challenge, a.challengeMethod = a.form.Get("code_challenge"), a.form.Get("code_challenge_method")
	if a.challengeMethod == "" && a.challenge != "" {
		a.challengeMethod = methodPlain
	}
	if a.challenge != "" && a.challengeMethod != methodS256 && a.challengeMethod != methodPlain || a.challenge == "" && a.challengeMethod != "" || len(a.challenge) > 128 {
		return badRequest("invalid_request", 501491, "Invalid code_challenge or code_challenge_method: S256 and plain are supported.")
	}
	if a.prompt = a.form.Get("prompt"); !slices.Contains([]string{"", "login", "none", "select_account", "consent", "create", "admin_consent"}, a.prompt) {
		return badRequest("invalid_request", 90023, "Unsupported 'prompt' value.")
	}
	if a.hint = a.form.Get("login_hint"); !validName(a.hint) {
		a.hint = ""
	}
	a.wantsClientInfo = a.form.Get("client_info") == "1"
	var err error
	if a.wants, err = a.wishes(i.audience); err != nil {
		return asFault(err)
	}
	return nil
}

// signIn takes what was filled in on the page.
func (i *Issuer) signIn(w http.ResponseWriter, r *http.Request, a *authorization) {
	if f := i.readForm(w, r); f != nil {
		i.showFault(w, r, f)
		return
	}
	if r.PostForm.Has("cancel") {
		i.sendBack(w, r, a, a.faultParameters(badRequest("access_denied", 65004, "User declined to consent to access the app."), i.now()))
		return
	}
	user, f := i.identify(r, &a.tokenRequest)
	if f != nil {
		i.showSignIn(w, r, &signInPage{what: a, hint: r.PostForm.Get("user"), wrong: f})
		return
	}
	if err := i.remember(w, r, &user); err != nil {
		i.writeInternal(w, r, err)
		return
	}
	i.grantCode(w, r, a, &user)
}

// readForm reads a form that one of this issuer's own pages has sent.
func (i *Issuer) readForm(w http.ResponseWriter, r *http.Request) *fault {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return &fault{http.StatusForbidden, "access_denied", 900561, "A page of another site may not sign in for you."}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return badRequest("invalid_request", 90014, "The request body is not a form of at most %d bytes.", maxForm)
	}
	return nil
}

// identify finds the user that a form names.
func (i *Issuer) identify(r *http.Request, q *tokenRequest) (User, *fault) {
	name := strings.TrimSpace(r.PostForm.Get("user"))
	if name == "" {
		return User{}, badRequest("invalid_request", 90014, "Say who signs in.")
	}
	user, known := i.user(q.tenantID, q.anyTenant, name)
	if !known || !validName(name) {
		return User{}, badRequest("invalid_grant", 50034, "The user account %s does not exist in the %s directory.", cut(name), q.tenantID)
	}
	if !user.Password.IsZero() && !sameSecret(user.Password, r.PostForm.Get("password")) {
		return User{}, badRequest("invalid_grant", 50126, "Error validating credentials due to invalid username or password.")
	}
	return user, nil
}

// grantCode sends a person back with what the application has asked for.
func (i *Issuer) grantCode(w http.ResponseWriter, r *http.Request, a *authorization, user *User) {
	p, err := i.codeParameters(r.Context(), a, user)
	if err != nil {
		i.writeInternal(w, r, err)
		return
	}
	i.sendBack(w, r, a, p)
}

func (i *Issuer) codeParameters(ctx context.Context, a *authorization, user *User) (url.Values, error) {
	p := a.parameters()
	if a.code {
		code, err := i.seal(ctx, codeUse, &codeClaims{
			Tenant: user.Tenant, App: a.app.ID, User: user.UPN, Scope: a.form.Get("scope"), Resource: a.form.Get("resource"),
			Redirect: a.redirectVerbatim, Challenge: a.challenge, Method: a.challengeMethod, Nonce: a.nonce,
			Expires: i.now().Add(codeLifetime).Unix(),
		})
		if err != nil {
			return nil, err
		}
		p.Set("code", codePrefix+code)
	}
	if a.idToken {
		token, err := i.id(ctx, &grant{
			base: a.base, v1: a.v1, tenant: user.Tenant, app: a.app, user: user, lifetime: i.lifetime, nonce: a.nonce, code: p.Get("code"),
		})
		if err != nil {
			return nil, err
		}
		p.Set("id_token", token)
	}
	if a.wantsClientInfo {
		info, err := clientInfo(user)
		if err != nil {
			return nil, err
		}
		p.Set("client_info", info)
	}
	return p, nil
}

// parameters are what every answer has.
func (a *authorization) parameters() url.Values {
	p := url.Values{}
	if a.form.Has("state") {
		p.Set("state", a.state)
	}
	p.Set("session_state", opaqueGUID())
	return p
}

// faultParameters tell the application what is wrong.
func (a *authorization) faultParameters(f *fault, now time.Time) url.Values {
	p := a.parameters()
	p.Del("session_state")
	p.Set("error", f.code)
	p.Set("error_description", f.describe(opaqueGUID(), a.correlation, now.UTC().Format(faultStamp)))
	p.Set("error_uri", f.uri())
	return p
}

// remember lets a browser sign in again without asking, for a day.
func (i *Issuer) remember(w http.ResponseWriter, r *http.Request, user *User) error {
	text, err := i.seal(r.Context(), rememberUse, &rememberedUser{user.Tenant, user.UPN, i.now().Add(rememberFor).Unix()})
	if err == nil {
		http.SetCookie(w, i.cookie(r, text, int(rememberFor/time.Second)))
	}
	return err
}

func (i *Issuer) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // over http on loopback there is no Secure to be had
		Name: rememberCookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(i.BaseOf(r), "https:"),
	}
}
