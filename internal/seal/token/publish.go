package token

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"

	"heliograph.dev"
)

// template is the tenant in what is said of all tenants, as Entra writes it.
const template = "{tenantid}"

// jwk is a key as Entra publishes it: with the certificate and with the issuer that it signs for.
type jwk struct {
	Type         string   `json:"kty"`
	Use          string   `json:"use"`
	Algorithm    string   `json:"alg"`
	ID           string   `json:"kid"`
	Thumbprint   string   `json:"x5t"`
	Modulus      string   `json:"n"`
	Exponent     string   `json:"e"`
	Certificates []string `json:"x5c"`
	Issuer       string   `json:"issuer"`
}

// discovery is what a receiver reads to learn where the keys are.
type discovery struct {
	Issuer     string   `json:"issuer"`
	Keys       string   `json:"jwks_uri"`
	Algorithms []string `json:"id_token_signing_alg_values_supported"`
	Subjects   []string `json:"subject_types_supported"`
	Responses  []string `json:"response_types_supported"`
}

// place is what an address asks for.
type place struct {
	tenant string
	form   Form
	keys   bool // the keys, not the document that points to them
}

// locate reads a path of the addresses where receivers look (contract 13.14), in any case, with a tenant or one of
// the names that stand for all:
//
//	/{tenant}/discovery/keys         /{tenant}/.well-known/openid-configuration
//	/{tenant}/discovery/v2.0/keys    /{tenant}/v2.0/.well-known/openid-configuration
func locate(path string) (place, bool) {
	tenant, rest, _ := strings.Cut(strings.Trim(strings.ToLower(path), "/"), "/")
	switch tenant {
	case "common", "organizations", "consumers":
		tenant = template
	default:
		if _, ok := heliograph.ParseGUID(tenant); !ok {
			return place{}, false
		}
	}
	switch rest {
	case "discovery/keys":
		return place{tenant, V1, true}, true
	case "discovery/v2.0/keys":
		return place{tenant, V2, true}, true
	case ".well-known/openid-configuration":
		return place{tenant, V1, false}, true
	case "v2.0/.well-known/openid-configuration":
		return place{tenant, V2, false}, true
	}
	return place{}, false
}

// Handles reports whether ServeHTTP has an answer for a path. It is for servers that have other paths too.
func (t *Tokens) Handles(path string) bool {
	_, ok := locate(path)
	return ok
}

// ServeHTTP publishes the keys.
func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, ok := locate(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	var body any = t.discovery(at)
	if at.keys {
		body = t.jwks(at)
	}
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Access-Control-Allow-Origin", "*") // anybody may know them, scripts of other origins too
	_, _ = w.Write(text)                           // the client is gone: nobody is left to tell
}

func (t *Tokens) discovery(at place) *discovery {
	version := ""
	if at.form == V2 {
		version = "v2.0/"
	}
	tenant := at.tenant
	if tenant == template {
		tenant = "common"
	}
	return &discovery{
		Issuer:     issuer(t.base, at.tenant, at.form),
		Keys:       t.base + "/" + tenant + "/discovery/" + version + "keys",
		Algorithms: []string{"RS256"}, Subjects: []string{"pairwise"}, Responses: []string{"id_token"},
	}
}

func (t *Tokens) jwks(at place) map[string][]jwk {
	var all []jwk
	for _, k := range t.keys.Load().keys {
		all = append(all, jwk{
			Type: "RSA", Use: "sig", Algorithm: "RS256", ID: k.id, Thumbprint: k.id,
			Modulus:      base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
			Exponent:     base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
			Certificates: []string{base64.StdEncoding.EncodeToString(k.cert.Raw)},
			Issuer:       issuer(t.base, at.tenant, at.form),
		})
	}
	return map[string][]jwk{"keys": all}
}
