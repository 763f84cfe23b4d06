package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/identity"
)

func TestCaller(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t)
	ends := start.Add(time.Hour)
	app := heliograph.Caller{Tenant: tenantA, App: appID, Object: userID, Roles: []string{"Mail.Read"}, Expires: ends}
	user := heliograph.Caller{
		Tenant: tenantA, App: appID, Object: userID, UPN: "ada@example.com", Delegated: true,
		Scopes: []string{"Mail.Read", "User.Read"}, Expires: ends,
	}
	changed := func(c heliograph.Caller, change func(*heliograph.Caller)) heliograph.Caller {
		change(&c)
		return c
	}
	noRoles := changed(app, func(c *heliograph.Caller) { c.Roles = nil })
	tests := []struct {
		name   string
		claims fields
		want   heliograph.Caller
	}{
		// contract 8.1, 8.2
		{"application, v2", p.appClaims(), app},
		{"application, v1", p.appClaims().with(fields{"iss": p.v1(tenantA), "azp": nil, "appid": appID, "ver": "1.0"}), app},
		{"application by its roles alone", p.appClaims().with(fields{"idtyp": nil}), app},
		{"application by idtyp, although it has scp", p.appClaims().with(fields{"scp": "Mail.Read"}), app},
		{"application without permissions", p.appClaims().with(fields{"roles": nil, "idtyp": nil}), noRoles},
		{"an empty scp is none", p.appClaims().with(fields{"roles": nil, "idtyp": nil, "scp": " "}), noRoles},
		{"null is absent", p.appClaims().with(fields{"roles": json.RawMessage("null")}), noRoles},
		{"one role as a string", p.appClaims().with(fields{"roles": "Mail.Read"}), app},
		{"user, v2", p.userClaims(), user},
		{"user, v1", p.userClaims().with(fields{
			"iss": p.v1(tenantA), "azp": nil, "appid": appID, "preferred_username": nil, "unique_name": "ada@example.com",
		}), user},
		{"scp as a list", p.userClaims().with(fields{"scp": []string{"Mail.Read", "User.Read"}}), user},
		{"upn before preferred_username", p.userClaims().with(fields{"upn": "ada@example.com", "preferred_username": "x"}), user},
		{"a user's roles are not the application's permissions", p.userClaims().with(fields{"roles": []string{"Changes.Publish"}}), user},
		{"user by idtyp without scp", p.userClaims().with(fields{"idtyp": "user", "scp": nil}), changed(user, func(c *heliograph.Caller) { c.Scopes = nil })},
		{"several audiences", p.appClaims().with(fields{"aud": []string{"other", graph}}), app},
		{"the other audience", p.appClaims().with(fields{"aud": "00000003-0000-0000-c000-000000000000"}), app},
		{"directory roles", p.userClaims().with(fields{"wids": []string{strings.ToUpper(heliograph.GlobalAdministrator)}}), changed(user, func(c *heliograph.Caller) {
			c.DirectoryRoles = []string{heliograph.GlobalAdministrator}
		})},
		{"GUIDs in upper case", p.userClaims().with(fields{
			"iss": p.v2(strings.ToUpper(tenantA)), "tid": strings.ToUpper(tenantA), "azp": strings.ToUpper(appID), "oid": strings.ToUpper(userID),
		}), user},
		// contract 8.3
		{"personal account", p.userClaims().with(fields{"iss": p.v2(string(heliograph.PersonalTenant)), "tid": heliograph.PersonalTenant}), changed(user, func(c *heliograph.Caller) {
			c.Tenant, c.Personal = heliograph.PersonalTenant, true
		})},
		// contract 8.5
		{"sub where there is no oid", p.appClaims().with(fields{"oid": nil, "sub": "svc-7"}), changed(app, func(c *heliograph.Caller) { c.Object = "svc-7" })},
		{"fractions of a second", p.appClaims().with(fields{"exp": float64(ends.Unix()) + 0.5}), app},
		{"no nbf", p.appClaims().with(fields{"nbf": nil}), app},
		{"nbf within the skew", p.appClaims().with(fields{"nbf": start.Add(5 * time.Minute).Unix()}), app},
		{"a claim that differs in case is another claim", p.appClaims().with(fields{
			"Roles": []string{"Changes.Publish"}, "TID": tenantB, "Oid": "x", "SCP": "x",
		}), app},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			token := p.token(test.claims)
			for range 2 { // verified, then remembered
				if diff := cmp.Diff(&test.want, wantAccepted(t, v, token)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t)
	ec, ed := ecPair(), edPair()
	p.publish(key("one", rsaOne()), key("ec", ec), key("ed", ed),
		fields{"kty": "OKP", "crv": "Ed448", "kid": "new", "x": "AAAA"}, fields{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"})
	for algorithm, with := range map[string]struct {
		kid  string
		pair any
	}{
		"RS256": {"one", rsaOne()}, "RS384": {"one", rsaOne()}, "RS512": {"one", rsaOne()},
		"PS256": {"one", rsaOne()}, "ES256": {"ec", ec}, "EdDSA": {"ed", ed},
	} {
		wantAccepted(t, v, sign(algorithm, with.kid, with.pair, p.appClaims()))
	}
}

// contract 5.28.
func TestRefusals(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t)
	ec := ecPair()
	p.publish(
		key("one", rsaOne()), key("small", rsaSmall()), key("encrypts", rsaTwo(), fields{"use": "enc"}), key("ec", ec),
		key("only-ps256", rsaTwo(), fields{"alg": "PS256"}), key("only-b", rsaTwo(), fields{"issuer": p.v2(tenantB)}),
	)
	good := p.appClaims()
	goodToken := p.token(good)
	parts := strings.Split(goodToken, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	payload := func(text string) string { return signText(t, text) }
	none := b64([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	public := must(json.Marshal(jose.JSONWebKey{Key: rsaOne().Public()}))
	const lifetime = "Access token has expired or is not yet valid."
	const failure = "Access token validation failure. "
	tests := []struct {
		name, token, rule, message string
	}{
		{"empty", "", "malformed", failure},
		{"garbage", "garbage", "malformed", failure},
		{"dots", "..", "algorithm", failure},
		{"not base64", "a!.b!.c!", "malformed", failure},
		{"header is not JSON", b64([]byte("x")) + "." + parts[1] + "." + parts[2], "malformed", failure},
		{"encrypted", parts[0] + "." + parts[1] + "." + parts[2] + ".x.y", "malformed", failure},
		{"JSON form", string(must(json.Marshal(fields{"protected": parts[0], "payload": parts[1], "signature": parts[2]}))), "malformed", failure},
		{"white space within", parts[0] + ".\n" + parts[1] + "." + parts[2], "malformed", failure},
		{"unknown critical header", sign("RS256", "one", rsaOne(), good, fields{"crit": []string{"exp"}, "exp": 1}), "signature", failure},
		{"too long", goodToken + strings.Repeat("A", 16<<10), "too_long", failure},
		{"unsigned", none, "algorithm", failure + `Invalid signature algorithm: "none".`},
		{"unsigned, spelled otherwise", b64([]byte(`{"alg":"NONE"}`)) + "." + parts[1] + ".", "algorithm", failure},
		{"signature cut off", parts[0] + "." + parts[1] + ".", "signature", failure},
		{"HS256 with the public key as the secret", sign("HS256", "one", public, good), "algorithm", failure + `Invalid signature algorithm: "HS256".`},
		{"another's signature", sign("RS256", "one", rsaTwo(), good), "signature", failure + "Invalid signature."},
		{"payload exchanged", parts[0] + "." + b64([]byte(`{"iss":"`+p.v2(tenantA)+`"}`)) + "." + parts[2], "signature", failure},
		{"algorithm of another kind of key", sign("ES256", "one", ec, good), "signature", failure},
		{"key that brings itself", sign("RS256", "", rsaTwo(), good, fields{"jwk": jose.JSONWebKey{Key: rsaTwo().Public()}}), "signature", failure},
		{"unknown key", sign("RS256", "who", rsaOne(), good), "key", failure + `The signing key "who" is unknown.`},
		{"weak key", sign("RS256", "small", rsaSmall(), good), "key", failure},
		{"key that does not sign", sign("RS256", "encrypts", rsaTwo(), good), "key", failure},
		{"key of another algorithm", sign("RS256", "only-ps256", rsaTwo(), good), "key", failure},
		{"key of another tenant's issuer", sign("RS256", "only-b", rsaTwo(), good), "key", failure},
		{"expired", p.token(good.with(fields{"exp": start.Add(-time.Second).Unix()})), "expired", lifetime},
		{"expired this moment", p.token(good.with(fields{"exp": start.Unix()})), "expired", lifetime},
		{"never expires", p.token(good.with(fields{"exp": nil})), "expired", lifetime},
		{"not yet valid", p.token(good.with(fields{"nbf": start.Add(6 * time.Minute).Unix()})), "not_yet_valid", lifetime},
		{"wrong audience", p.token(good.with(fields{"aud": "api://other"})), "audience", failure + `Invalid audience: the token is for "api://other", this server is https://graph.microsoft.com or `},
		{"an audience that begins like ours", p.token(good.with(fields{"aud": graph + ".evil.example"})), "audience", failure},
		{"no audience", p.token(good.with(fields{"aud": nil})), "audience", failure},
		{"unknown issuer", p.token(good.with(fields{"iss": "https://evil.example/" + tenantA + "/v2.0"})), "issuer", failure + `Invalid issuer: "https://evil.example/` + tenantA + `/v2.0" is not trusted here.`},
		{"no issuer", p.token(good.with(fields{"iss": nil})), "issuer", failure},
		{"issuer that is longer", p.token(good.with(fields{"iss": p.v2(tenantA) + "/x"})), "issuer", failure},
		{"issuer that is shorter", p.token(good.with(fields{"iss": p.URL + "/" + tenantA})), "issuer", failure},
		{"the template itself", p.token(good.with(fields{"iss": p.v2("{tenantid}")})), "issuer", failure},
		{"an issuer without a tenant", p.token(good.with(fields{"iss": p.v2("common")})), "issuer", failure},
		{"issuer of another tenant", p.token(good.with(fields{"tid": tenantB})), "tenant", failure},
		{"tenant that is no GUID", p.token(good.with(fields{"tid": "example.com"})), "tenant", failure},
		{"no application", p.token(good.with(fields{"azp": nil})), "application", failure},
		{"application that would be a path", p.token(good.with(fields{"azp": "a/b"})), "application", failure},
		{"two applications", p.token(good.with(fields{"appid": userID})), "claims", failure + "Invalid claims: appid and azp differ."},
		{"no object", p.token(good.with(fields{"oid": nil, "sub": nil})), "object", failure},
		{"object that would be a path", p.token(good.with(fields{"oid": "../" + userID})), "object", failure},
		{"personal application", p.token(good.with(fields{"iss": p.v2(string(heliograph.PersonalTenant)), "tid": heliograph.PersonalTenant})), "personal", failure},
		{"claims are a list", payload(`[]`), "claims", failure},
		{"claims are not JSON", payload(`{`), "claims", failure},
		{"exp is text", p.token(good.with(fields{"exp": "soon"})), "claims", failure + "Invalid claims: the exp claim is of the wrong kind."},
		{"exp is beyond time", p.token(good.with(fields{"exp": 1e300})), "claims", failure},
		{"exp is before time", p.token(good.with(fields{"exp": -1})), "claims", failure},
		{"roles are numbers", p.token(good.with(fields{"roles": []int{1}})), "claims", failure},
		{"scp is an object", p.token(good.with(fields{"scp": fields{}})), "claims", failure},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			caller, err := v.Verify(t.Context(), test.token)
			if caller != nil {
				t.Errorf("accepted as %+v", caller)
			}
			wantRefused(t, err, test.rule)
			e := refusal(t, err)
			if e.Code != "InvalidAuthenticationToken" || !strings.HasPrefix(e.Message, test.message) {
				t.Errorf("code %s, message %q", e.Code, e.Message)
			}
			if len(e.Message) > 500 || len(test.token) > 100 && strings.Contains(e.Message, test.token) {
				t.Errorf("the message tells too much: %q", e.Message)
			}
		})
	}
}

// signText signs a payload that need not be claims.
func signText(tb testing.TB, text string) string {
	tb.Helper()
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: rsaOne()}, (&jose.SignerOptions{}).WithHeader("kid", "one")))
	return must(must(signer.Sign([]byte(text))).CompactSerialize())
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t)
	token := p.token(p.appClaims())
	for _, header := range []string{"Bearer " + token, "bearer " + token, "BEARER  " + token + " "} {
		if caller, err := v.Authenticate(t.Context(), header); err != nil || caller.App != appID {
			t.Errorf("%.10s: %v, %v", header, caller, err)
		}
	}
	for header, rule := range map[string]string{
		"":                          "missing",
		"Bearer":                    "missing",
		"Bearer  ":                  "missing",
		token:                       "scheme",
		"Basic dXNlcjpwYXNz":        "scheme",
		"Bearer " + token + " x":    "malformed",
		"Bearer Bearer " + token:    "malformed",
		"Bearer " + token + ",junk": "malformed",
	} {
		_, err := v.Authenticate(t.Context(), header)
		wantRefused(t, err, rule)
	}
}

func TestIssuerSpeaksForItsTenantsOnly(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t, func(o *identity.Options) {
		url := strings.TrimSuffix(o.Issuers[1].URL, "/{tenantid}/")
		o.Issuers = []identity.Issuer{
			{URL: url + "/" + tenantA + "/v2.0"},                                               // one tenant, by its address
			{URL: url + "/realms/groupware", Tenant: tenantB},                                  // one tenant, by configuration
			{URL: url + "/realms/" + tenantB},                                                  // the same, by its address
			{URL: url + "/{tenantid}/", Tenant: heliograph.TenantID("AAAAAAAA" + tenantA[8:])}, // a template narrowed down
		}
	})
	at := func(iss string, tid any) string { return p.token(p.appClaims().with(fields{"iss": iss, "tid": tid})) }
	narrowed := "aaaaaaaa" + tenantA[8:]
	for want, tokens := range map[heliograph.TenantID][]string{
		tenantA:                       {at(p.v2(tenantA), tenantA), at(p.v2(tenantA), nil)},
		tenantB:                       {at(p.URL+"/realms/groupware", nil), at(p.URL+"/realms/groupware", tenantB), at(p.URL+"/realms/"+tenantB, nil)},
		heliograph.TenantID(narrowed): {at(p.v1(narrowed), narrowed)},
	} {
		for _, token := range tokens {
			if caller := wantAccepted(t, v, token); caller.Tenant != want {
				t.Errorf("tenant %s, want %s", caller.Tenant, want)
			}
		}
	}
	for token, rule := range map[string]string{
		at(p.v2(tenantA), tenantB):                 "tenant",
		at(p.URL+"/realms/groupware", tenantA):     "tenant",
		at(p.URL+"/realms/groupware/", tenantB):    "issuer",
		at(p.v2(tenantB), tenantB):                 "issuer",
		at(p.v1(tenantA), tenantA):                 "issuer",
		at(p.URL+"/realms/other", tenantB):         "issuer",
		at(p.URL+"/realms/"+tenantB, "not a guid"): "tenant",
	} {
		_, err := v.Verify(t.Context(), token)
		wantRefused(t, err, rule)
	}
}

func TestIssuerThatNamesNoTenantLetsTokensName(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	v := newVerifier(t, identity.Options{Issuers: []identity.Issuer{{URL: p.URL + "/realms/groupware"}}, Now: func() time.Time { return start }})
	claims := p.appClaims().with(fields{"iss": p.URL + "/realms/groupware"})
	if caller := wantAccepted(t, v, p.token(claims.with(fields{"tid": tenantB}))); caller.Tenant != tenantB {
		t.Error(caller.Tenant)
	}
	_, err := v.Verify(t.Context(), p.token(claims.with(fields{"tid": nil})))
	wantRefused(t, err, "tenant")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return start }
	issuer := func(url string) []identity.Issuer { return []identity.Issuer{{URL: url}} }
	tests := []struct {
		name string
		o    identity.Options
		ok   bool
	}{
		{"https", identity.Options{Now: now, Issuers: issuer("https://idp.example")}, true},
		{"loopback", identity.Options{Now: now, Issuers: issuer("http://127.0.0.1:8080/x")}, true},
		{"loopback by name", identity.Options{Now: now, Issuers: issuer("http://localhost/x")}, true},
		{"http, allowed", identity.Options{Now: now, AllowHTTP: true, Issuers: issuer("http://idp.example")}, true},
		{"http", identity.Options{Now: now, Issuers: issuer("http://idp.example")}, false},
		{"no clock", identity.Options{Issuers: issuer("https://idp.example")}, false},
		{"nobody", identity.Options{Now: now}, false},
		{"not absolute", identity.Options{Now: now, Issuers: issuer("idp.example")}, false},
		{"user", identity.Options{Now: now, Issuers: issuer("https://u:p@idp.example")}, false},
		{"query", identity.Options{Now: now, Issuers: issuer("https://idp.example?x")}, false},
		{"two placeholders", identity.Options{Now: now, Issuers: issuer("https://idp.example/{tenantid}/{tenantid}")}, false},
		{"other placeholder", identity.Options{Now: now, Issuers: issuer("https://idp.example/{tenant}")}, false},
		{"tenant", identity.Options{Now: now, Issuers: []identity.Issuer{{URL: "https://idp.example", Tenant: "x"}}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v, err := identity.New(test.o)
			if (err == nil) != test.ok {
				t.Fatalf("err = %v", err)
			}
			if err == nil {
				v.Close()
			}
		})
	}
}
