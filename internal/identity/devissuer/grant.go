package devissuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"heliograph.dev"
)

// The grants (RFC 6749).
const (
	grantClient   = "client_credentials"
	grantPassword = "password"
	grantRefresh  = "refresh_token"
	grantCode     = "authorization_code"
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code"
	grantDeviceV1 = "device_code"
)

const maxForm = 64 << 10

// tokenAnswer is a token response in the v2 form.
type tokenAnswer struct {
	Type         string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    int64  `json:"expires_in"`
	ExtExpiresIn int64  `json:"ext_expires_in"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

// tokenAnswerV1 is one in the v1 form, where numbers are strings.
type tokenAnswerV1 struct {
	Type         string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    string `json:"expires_in"`
	ExtExpiresIn string `json:"ext_expires_in"`
	ExpiresOn    string `json:"expires_on"`
	NotBefore    string `json:"not_before"`
	Resource     string `json:"resource"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

// tokenRequest is a request for a token, on its way to a grant.
type tokenRequest struct {
	place

	form      url.Values
	tenantID  heliograph.TenantID
	anyTenant bool
	app       Application
	proof     string
	origin    string // of the script in a browser that asks, or empty
	nonce     string // that the ID token is to repeat
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request, at place) {
	if allowScript(w, r) {
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeFault(w, r, i.now(), badRequest("invalid_request", 900561,
			"The endpoint only accepts POST requests. Received a %s request.", cut(r.Method)))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	answer, err := i.answer(r, at)
	var f *fault
	switch {
	case errors.As(err, &f):
		writeFault(w, r, i.now(), f)
	case err != nil:
		i.writeInternal(w, r, err)
	default:
		writePrivate(w, correlationID(r), http.StatusOK, answer)
	}
}

func (i *Issuer) answer(r *http.Request, at place) (any, error) {
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("invalid_request", 90014, "The request body is not a form of at most %d bytes.", maxForm)
	}
	q := &tokenRequest{place: at, form: r.PostForm, origin: r.Header.Get("Origin")}
	var err error
	if q.tenantID, q.anyTenant, err = i.resolveTenant(at.tenant); err != nil {
		return nil, unknownTenant(at.tenant)
	}
	kind := q.form.Get("grant_type")
	if kind == "" {
		return nil, missing("grant_type")
	}
	if err := i.authenticate(r, q); err != nil {
		return nil, err
	}
	switch kind {
	case grantClient:
		return i.clientGrant(r.Context(), q)
	case grantPassword:
		return i.passwordGrant(r.Context(), q)
	case grantRefresh:
		return i.refreshGrant(r.Context(), q)
	case grantCode:
		return i.codeGrant(r.Context(), q)
	case grantDevice, grantDeviceV1:
		return i.deviceGrant(r.Context(), q)
	}
	return nil, badRequest("unsupported_grant_type", 70003, "The app requested an unsupported grant type '%s'.", cut(kind))
}

// authenticate finds the application and how it proved itself.
func (i *Issuer) authenticate(r *http.Request, q *tokenRequest) error {
	id, secret := q.form.Get("client_id"), q.form.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok { // form-encoded within Basic (RFC 6749, 2.3.1)
		id, secret = unescape(user), unescape(password)
	}
	assertion := q.form.Get("client_assertion")
	if id == "" && assertion != "" {
		id = assertionClient(assertion)
	}
	if id == "" {
		return missing("client_id")
	}
	app, known := i.application(id)
	if !known || !validName(id) {
		return badRequest("unauthorized_client", 700016, "Application with identifier '%s' was not found in the directory '%s'.", cut(id), q.tenantID)
	}
	q.app = app
	switch {
	case secret != "":
		q.proof = "1"
	case assertion != "":
		q.proof = "2"
	default:
		q.proof = "0"
	}
	if len(i.applications) == 0 || app.Secret.IsZero() && q.proof == "0" {
		return nil // anything goes, or a public client
	}
	if q.proof == "2" {
		return badClient(700027, "The development issuer cannot check assertions of a configured application. Use its secret.")
	}
	if !sameSecret(app.Secret, secret) {
		return badClient(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", app.ID)
	}
	return nil
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// assertionClient reads who an assertion is of. That it proves nothing is the point of a development issuer.
func assertionClient(assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var said struct {
		Subject string `json:"sub"`
	}
	if err != nil || json.Unmarshal(payload, &said) != nil {
		return ""
	}
	return said.Subject
}

// clientGrant gives an application a token of its own.
func (i *Issuer) clientGrant(ctx context.Context, q *tokenRequest) (any, error) {
	switch {
	case q.proof == "0":
		return nil, badClient(7000216, "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.")
	case q.tenantID == heliograph.PersonalTenant:
		return nil, badRequest("unauthorized_client", 700016, "Application with identifier '%s' was not found in the directory 'consumers': personal accounts have no application tokens.", q.app.ID)
	}
	wants, err := q.wishes(i.audience)
	if err != nil {
		return nil, err
	}
	if !q.v1 && (len(wants.names) > 0 || !wants.everything) {
		return nil, badRequest("invalid_scope", 1002012, "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", cut(q.form.Get("scope")))
	}
	g := i.granted(q, wants)
	if wants.isGraph {
		g.roles = i.rolesOf(q.app)
	}
	return i.respond(ctx, g, wants)
}

// passwordGrant gives a token for a user who trusts the application with a password.
func (i *Issuer) passwordGrant(ctx context.Context, q *tokenRequest) (any, error) {
	name, password := q.form.Get("username"), q.form.Get("password")
	switch {
	case name == "":
		return nil, missing("username")
	case password == "":
		return nil, missing("password")
	}
	wants, err := q.wishes(i.audience)
	if err != nil {
		return nil, err
	}
	user, known := i.user(q.tenantID, q.anyTenant, name)
	if !known || !validName(name) {
		return nil, badRequest("invalid_grant", 50034, "The user account %s does not exist in the %s directory.", cut(name), q.tenantID)
	}
	if !user.Password.IsZero() && !sameSecret(user.Password, password) {
		return nil, badRequest("invalid_grant", 50126, "Error validating credentials due to invalid username or password.")
	}
	return i.userGrant(ctx, q, wants, &user)
}

func (i *Issuer) userGrant(ctx context.Context, q *tokenRequest, wants *wishes, user *User) (any, error) {
	g := i.granted(q, wants)
	g.user, g.tenant = user, user.Tenant
	for _, name := range wants.names {
		if canonical, ok := i.canonical[strings.ToLower(name)]; ok {
			name = canonical
		}
		g.scopes = append(g.scopes, name)
	}
	if wants.isGraph && (wants.everything || len(g.scopes) == 0) {
		g.scopes = i.scopes
	}
	return i.respond(ctx, g, wants)
}

func (i *Issuer) granted(q *tokenRequest, wants *wishes) *grant {
	return &grant{
		base: q.base, v1: q.v1, tenant: q.tenantID, app: q.app, proof: q.proof, audience: wants.audience, lifetime: i.lifetime,
		origin: q.origin, nonce: q.nonce,
	}
}

// respond makes the tokens and the answer that carries them.
func (i *Issuer) respond(ctx context.Context, g *grant, wants *wishes) (any, error) {
	access, expires, err := i.access(ctx, g)
	if err != nil {
		return nil, err
	}
	if len(access) > maxToken {
		return nil, badRequest("invalid_scope", 70011, "The scopes make a token of more than %d bytes.", maxToken)
	}
	seconds := int64(g.lifetime / time.Second)
	answer := &tokenAnswer{Type: "Bearer", ExpiresIn: seconds, ExtExpiresIn: seconds, AccessToken: access}
	if g.user != nil {
		if err := i.addUser(ctx, answer, g, wants); err != nil {
			return nil, err
		}
	}
	if !g.v1 {
		return answer, nil
	}
	return &tokenAnswerV1{
		Type: answer.Type, Scope: answer.Scope, ExpiresIn: strconv.FormatInt(seconds, 10), ExtExpiresIn: strconv.FormatInt(seconds, 10),
		ExpiresOn: strconv.FormatInt(expires.Unix(), 10), NotBefore: strconv.FormatInt(expires.Unix()-seconds, 10),
		Resource: g.audience, AccessToken: access, RefreshToken: answer.RefreshToken, IDToken: answer.IDToken, ClientInfo: answer.ClientInfo,
	}, nil
}

// clientInfo names a user as MSAL's caches do.
func clientInfo(user *User) (string, error) {
	info, err := json.Marshal(map[string]string{"uid": string(user.Object), "utid": string(user.Tenant)})
	return base64.RawURLEncoding.EncodeToString(info), err
}

// addUser adds what only users get.
func (i *Issuer) addUser(ctx context.Context, answer *tokenAnswer, g *grant, wants *wishes) (err error) {
	answer.Scope = wants.scopeAnswer(g.scopes)
	if answer.ClientInfo, err = clientInfo(g.user); err != nil {
		return err
	}
	if wants.openID {
		if answer.IDToken, err = i.id(ctx, g); err != nil {
			return err
		}
	}
	if wants.offline {
		answer.RefreshToken, err = i.sealRefresh(ctx, g, wants)
	}
	return err
}
