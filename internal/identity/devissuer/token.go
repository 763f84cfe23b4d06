package devissuer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"heliograph.dev"
)

// accessClaims is an access token's payload as Entra writes it, v1 and v2.
type accessClaims struct {
	Audience          string   `json:"aud"`
	Issuer            string   `json:"iss"`
	IssuedAt          int64    `json:"iat"`
	NotBefore         int64    `json:"nbf"`
	Expires           int64    `json:"exp"`
	AIO               string   `json:"aio"`
	AppDisplayName    string   `json:"app_displayname,omitempty"`
	AppID             string   `json:"appid,omitempty"`    // v1
	AppIDACR          string   `json:"appidacr,omitempty"` // v1: 0 public, 1 secret, 2 certificate
	AZP               string   `json:"azp,omitempty"`      // v2
	AZPACR            string   `json:"azpacr,omitempty"`   // v2
	IDP               string   `json:"idp,omitempty"`      // v1
	IDType            string   `json:"idtyp"`
	Name              string   `json:"name,omitempty"`
	Object            string   `json:"oid"`
	PreferredUsername string   `json:"preferred_username,omitempty"` // v2
	RH                string   `json:"rh"`
	Roles             []string `json:"roles,omitempty"`
	Scopes            string   `json:"scp,omitempty"`
	Subject           string   `json:"sub"`
	Tenant            string   `json:"tid"`
	UniqueName        string   `json:"unique_name,omitempty"` // v1
	UPN               string   `json:"upn,omitempty"`
	UTI               string   `json:"uti"`
	Version           string   `json:"ver"`
	DirectoryRoles    []string `json:"wids,omitempty"`
}

// idClaims is an ID token's payload.
type idClaims struct {
	Audience          string `json:"aud"`
	Issuer            string `json:"iss"`
	IssuedAt          int64  `json:"iat"`
	NotBefore         int64  `json:"nbf"`
	Expires           int64  `json:"exp"`
	Name              string `json:"name"`
	Object            string `json:"oid"`
	PreferredUsername string `json:"preferred_username"`
	RH                string `json:"rh"`
	Subject           string `json:"sub"`
	Tenant            string `json:"tid"`
	UPN               string `json:"upn"`
	UTI               string `json:"uti"`
	Version           string `json:"ver"`

	CodeHash string   `json:"c_hash,omitempty"`
	Nonce    string   `json:"nonce,omitempty"`
	Roles    []string `json:"roles,omitempty"`
}

// grant is what a token says, before it is one.
type grant struct {
	base     string
	v1       bool
	tenant   heliograph.TenantID
	app      Application
	proof    string // how the application proved itself: Entra's acr
	user     *User  // nil: the application's own token
	audience string
	scopes   []string
	roles    []string
	lifetime time.Duration
	origin   string // of the script that may refresh, or empty
	nonce    string // for the ID token
	code     string // that an ID token comes with, when it does
}

// access makes the access token.
func (i *Issuer) access(ctx context.Context, g *grant) (string, time.Time, error) {
	now := i.now()
	expires := now.Add(g.lifetime)
	issued := now
	if g.lifetime < 0 {
		issued = expires.Add(-i.lifetime)
	}
	c := &accessClaims{
		Audience: g.audience, Issuer: i.issuerURL(g.base, string(g.tenant), g.v1), Tenant: string(g.tenant), Version: "2.0",
		IssuedAt: issued.Unix(), NotBefore: issued.Unix(), Expires: expires.Unix(),
		AppDisplayName: g.app.Name, AIO: opaque(48), RH: "1." + opaque(40) + ".", UTI: opaque(16),
	}
	if g.user != nil {
		c.ofUser(g)
	} else {
		c.Object = string(ServicePrincipalID(g.tenant, g.app.ID))
		c.Subject, c.IDType, c.Roles = c.Object, "app", g.roles
	}
	if g.v1 {
		c.Version, c.AppID, c.AppIDACR, c.IDP = "1.0", string(g.app.ID), g.proof, c.Issuer
		c.UniqueName, c.PreferredUsername = c.PreferredUsername, ""
	} else {
		c.AZP, c.AZPACR = string(g.app.ID), g.proof
	}
	token, err := i.sign(ctx, c)
	return token, time.Unix(c.Expires, 0).UTC(), err
}

func (c *accessClaims) ofUser(g *grant) {
	c.Object, c.Subject, c.IDType = string(g.user.Object), subject(g), "user"
	c.Name, c.UPN, c.PreferredUsername = g.user.Name, g.user.UPN, g.user.UPN
	c.Scopes, c.Roles, c.DirectoryRoles = strings.Join(g.scopes, " "), g.user.Roles, g.user.DirectoryRoles
	if isGUID(g.user.UPN) { // named by object id: nobody knows the UPN
		c.Name, c.UPN, c.PreferredUsername = "", "", ""
	}
}

// id makes the ID token that belongs to a user's access token.
func (i *Issuer) id(ctx context.Context, g *grant) (string, error) {
	now := i.now()
	c := &idClaims{
		Audience: string(g.app.ID), Issuer: i.issuerURL(g.base, string(g.tenant), g.v1), Tenant: string(g.tenant), Version: "2.0",
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(g.lifetime).Unix(),
		Name: g.user.Name, UPN: g.user.UPN, PreferredUsername: g.user.UPN, Object: string(g.user.Object),
		Subject: subject(g), RH: "1." + opaque(40) + ".", UTI: opaque(16), Nonce: g.nonce, Roles: g.user.Roles,
	}
	if g.v1 {
		c.Version = "1.0"
	}
	if g.code != "" { // OpenID Connect Core, 3.3.2.11
		sum := sha256.Sum256([]byte(g.code))
		c.CodeHash = base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	}
	return i.sign(ctx, c)
}

// subject names a user to one application, as Entra does: another application sees another name.
func subject(g *grant) string {
	sum := sha256.Sum256([]byte(string(g.app.ID) + " " + string(g.user.Object)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (i *Issuer) sign(ctx context.Context, payload any) (string, error) {
	keys, err := i.keys.get(ctx)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return "", err
	}
	signed, err := keys.signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed.CompactSerialize()
}

// opaque returns n random bytes as text: Entra's tokens carry such, and nobody may read them.
func opaque(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}
