package devissuer

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
)

// place is what an address says by itself.
type place struct {
	tenant string // as in the path
	base   string
	v1     bool
	rest   string // of the path
}

type endpoint func(w http.ResponseWriter, r *http.Request, at place)

// route returns what answers at a path, or nil.
func (i *Issuer) route(path string) (endpoint, place) {
	tenant, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	at := place{tenant: tenant, rest: rest}
	switch strings.ToLower(rest) {
	case "oauth2/v2.0/token":
		return i.token, at
	case "oauth2/token":
		at.v1 = true
		return i.token, at
	case "v2.0/.well-known/openid-configuration":
		return i.discovery, at
	case ".well-known/openid-configuration":
		at.v1 = true
		return i.discovery, at
	case "discovery/v2.0/keys":
		return i.publicKeys, at
	case "discovery/keys":
		at.v1 = true
		return i.publicKeys, at
	case "discovery/instance":
		return i.instance, at
	case "oauth2/v2.0/authorize":
		return i.authorize, at
	case "oauth2/authorize":
		at.v1 = true
		return i.authorize, at
	case "oauth2/v2.0/devicecode":
		return i.deviceCode, at
	case "oauth2/devicecode":
		at.v1 = true
		return i.deviceCode, at
	case "oauth2/deviceauth":
		return i.deviceSignIn, at
	case "oauth2/v2.0/logout", "oauth2/logout":
		return i.logout, at
	case "oauth2/nativeclient":
		return i.nativeClient, at
	}
	if kind, user, _ := strings.Cut(rest, "/"); strings.EqualFold(kind, "userrealm") && strings.EqualFold(tenant, "common") && user != "" {
		return i.userRealm, at
	}
	return nil, at
}

// Handles reports whether ServeHTTP has an answer for a path. It is for servers that have other paths too.
func (i *Issuer) Handles(path string) bool {
	answer, _ := i.route(path)
	return answer != nil
}

// ServeHTTP answers token, discovery and key requests.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, at := i.route(r.URL.Path)
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	at.base = i.BaseOf(r)
	answer(w, r, at)
}

// discoveryDocument is what clients read before anything else. It names only what answers here.
type discoveryDocument struct {
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	KeysAddress           string   `json:"jwks_uri"`
	ResponseModes         []string `json:"response_modes_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Scopes                []string `json:"scopes_supported"`
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	Claims                []string `json:"claims_supported"`
	TenantRegion          *string  `json:"tenant_region_scope"`
	CloudInstance         string   `json:"cloud_instance_name"`
	GraphHost             string   `json:"msgraph_host"`
}

func (i *Issuer) discovery(w http.ResponseWriter, r *http.Request, at place) {
	issuer, err := i.issuerAt(at)
	if err != nil {
		writeFault(w, r, i.now(), unknownTenant(at.tenant))
		return
	}
	version := "/v2.0"
	if at.v1 {
		version = ""
	}
	oauth := at.base + "/" + url.PathEscape(at.tenant) + "/oauth2" + version
	writePublic(w, r, &discoveryDocument{
		TokenEndpoint:         oauth + "/token",
		TokenAuthMethods:      []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		KeysAddress:           at.base + "/" + url.PathEscape(at.tenant) + "/discovery" + version + "/keys",
		ResponseModes:         []string{"query", "fragment", "form_post"},
		SubjectTypes:          []string{"pairwise"},
		SigningAlgorithms:     []string{"RS256"},
		ResponseTypes:         []string{"code", "id_token", "code id_token"},
		GrantTypes:            []string{grantClient, grantPassword, grantRefresh, grantCode, grantDevice},
		ChallengeMethods:      []string{"S256", "plain"},
		Scopes:                []string{"openid", "profile", "email", "offline_access"},
		Issuer:                issuer,
		AuthorizationEndpoint: oauth + "/authorize",
		DeviceEndpoint:        oauth + "/devicecode",
		EndSessionEndpoint:    oauth + "/logout",
		Claims: []string{
			"sub", "iss", "aud", "exp", "iat", "nbf", "nonce", "name", "oid", "preferred_username", "tid", "upn", "ver", "scp", "roles", "wids",
		},
		CloudInstance: "microsoftonline.com",
		GraphHost:     "graph.microsoft.com",
	})
}

// issuerAt returns the issuer of a place: of its tenant, or the template for the names that stand for any.
func (i *Issuer) issuerAt(at place) (string, error) {
	tenant, anyTenant, err := i.resolveTenant(at.tenant)
	if err != nil {
		return "", err
	}
	if anyTenant {
		return i.issuerURL(at.base, eachTenant, at.v1), nil
	}
	return i.issuerURL(at.base, string(tenant), at.v1), nil
}

// publicKey is a JWK as Entra publishes it: with the certificate and with the issuer that it signs for.
type publicKey struct {
	Type         string   `json:"kty"`
	Use          string   `json:"use"`
	ID           string   `json:"kid"`
	Thumbprint   string   `json:"x5t"`
	Modulus      string   `json:"n"`
	Exponent     string   `json:"e"`
	Certificates []string `json:"x5c"`
	Cloud        string   `json:"cloud_instance_name"`
	Issuer       string   `json:"issuer"`
}

func (i *Issuer) publicKeys(w http.ResponseWriter, r *http.Request, at place) {
	issuer, err := i.issuerAt(at)
	if err != nil {
		writeFault(w, r, i.now(), unknownTenant(at.tenant))
		return
	}
	ring, err := i.keys.get(r.Context())
	if err != nil {
		i.writeInternal(w, r, err)
		return
	}
	answer := struct {
		Keys []publicKey `json:"keys"`
	}{}
	for _, p := range ring.pairs {
		answer.Keys = append(answer.Keys, published(p.cert, &p.key.PublicKey, issuer))
	}
	if i.others != nil {
		others, err := i.others()
		if err != nil {
			i.writeInternal(w, r, err)
			return
		}
		for _, cert := range others {
			if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
				answer.Keys = append(answer.Keys, published(cert, key, issuer))
			}
		}
	}
	writePublic(w, r, &answer)
}

// published is a key as it is published. Its id is its certificate's thumbprint, as Entra has it.
func published(cert *x509.Certificate, key *rsa.PublicKey, issuer string) publicKey {
	id := thumbprint(cert)
	return publicKey{
		Type: "RSA", Use: "sig", ID: id, Thumbprint: id,
		Modulus:      base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		Exponent:     base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		Certificates: []string{base64.StdEncoding.EncodeToString(cert.Raw)},
		Cloud:        "microsoftonline.com",
		Issuer:       issuer,
	}
}

// instanceMetadata says which host names are one cloud.
type instanceMetadata struct {
	PreferredNetwork string   `json:"preferred_network"`
	PreferredCache   string   `json:"preferred_cache"`
	Aliases          []string `json:"aliases"`
}

func (i *Issuer) instance(w http.ResponseWriter, r *http.Request, at place) {
	tenant := at.tenant
	if asked, err := url.Parse(r.URL.Query().Get("authorization_endpoint")); err == nil {
		if t, _, _ := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/"); t != "" {
			tenant = t
		}
	}
	_, host, _ := strings.Cut(at.base, "://")
	cloud := instanceMetadata{PreferredNetwork: host, PreferredCache: host, Aliases: []string{host}}
	if i.login.is(at.base) {
		cloud = instanceMetadata{PreferredNetwork: i.login.Hosts[0], PreferredCache: i.login.Hosts[min(1, len(i.login.Hosts)-1)], Aliases: i.login.Hosts}
	}
	writePublic(w, r, map[string]any{
		"tenant_discovery_endpoint": at.base + "/" + url.PathEscape(tenant) + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata":                  []instanceMetadata{cloud},
	})
}

// userRealm tells MSAL that a user's password is checked here and not by a federated server.
func (i *Issuer) userRealm(w http.ResponseWriter, r *http.Request, at place) {
	_, user, _ := strings.Cut(at.rest, "/")
	_, domain, _ := strings.Cut(user, "@")
	writePublic(w, r, map[string]string{
		"ver": "1.0", "account_type": "Managed", "domain_name": domain,
		"cloud_instance_name": "microsoftonline.com", "cloud_audience_urn": "urn:federation:MicrosoftOnline",
	})
}

// writePublic writes what anybody may read, also scripts of other origins.
func writePublic(w http.ResponseWriter, r *http.Request, v any) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	writeJSON(w, http.StatusOK, v)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // unreachable: what is written here are our own types
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone: nobody is left to tell
}
