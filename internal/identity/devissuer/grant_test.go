package devissuer_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/identity/devissuer"
)

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	w := setup(t)
	request := form("grant_type", "client_credentials", "client_id", appID, "client_secret", "x", "scope", graph+"/.default",
		"client_info", "1", "x-client-SKU", "MSAL.Go", "unknown", "field")
	a := w.post(t, "/"+tenantA+"/oauth2/v2.0/token?client-request-id="+tenantA, request)
	if a.status != http.StatusOK || a.body["token_type"] != "Bearer" || a.body["expires_in"] != 3600.0 || a.header.Get("Client-Request-Id") != tenantA {
		t.Fatalf("%d %v %v", a.status, a.body, a.header)
	}
	for _, name := range []string{"refresh_token", "id_token", "client_info", "scope"} {
		if _, there := a.body[name]; there {
			t.Errorf("an application got %s", name)
		}
	}
	if !strings.Contains(a.header.Get("Cache-Control"), "no-store") || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("headers %v", a.header)
	}
	object := string(devissuer.ServicePrincipalID(tenantA, appID))
	wantClaims(t, w.claims(t, a.text("access_token")), map[string]any{
		"aud": graph, "iss": w.http.URL + "/" + tenantA + "/v2.0", "tid": tenantA, "ver": "2.0", "idtyp": "app",
		"azp": appID, "azpacr": "1", "appid": nil, "oid": object, "sub": object, "scp": nil, "app_displayname": appID,
		"roles": []string{"Changes.Publish", "Heliograph.Control", "Mail.Read", "User.Read.All"},
		"iat":   start.Unix(), "nbf": start.Unix(), "exp": start.Add(time.Hour).Unix(),
	})

	v1 := w.post(t, "/"+tenantA+"/oauth2/token", form("grant_type", "client_credentials", "client_id", appID, "client_secret", "x", "resource", graph+"/"))
	if v1.status != http.StatusOK || v1.body["expires_in"] != "3600" || v1.body["resource"] != graph {
		t.Fatalf("%d %v", v1.status, v1.body)
	}
	wantClaims(t, w.claims(t, v1.text("access_token")), map[string]any{
		"iss": w.http.URL + "/" + tenantA + "/", "ver": "1.0", "appid": appID, "appidacr": "1", "azp": nil, "azpacr": nil, "oid": object,
	})
}

func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	w := setup(t)
	request := form("grant_type", "password", "client_id", appID, "username", "Ada@Example.com", "password", "x",
		"scope", "mail.read openid profile offline_access")
	a := w.post(t, "/organizations/oauth2/v2.0/token", request)
	if a.status != http.StatusOK || a.body["scope"] != "mail.read openid profile offline_access" {
		t.Fatalf("%d %v", a.status, a.body)
	}
	tenant := heliograph.TenantID(heliograph.DeriveGUID("tenant", "default").String())
	object := string(devissuer.UserID(tenant, "ada@example.com"))
	claims := w.claims(t, a.text("access_token"))
	wantClaims(t, claims, map[string]any{
		"tid": tenant, "oid": object, "scp": "Mail.Read", "upn": "Ada@Example.com", "preferred_username": "Ada@Example.com", "name": "Ada",
		"azp": appID, "azpacr": "0", "roles": nil, "idtyp": "user",
	})
	if claims["sub"] == object {
		t.Error("a user's sub must be the application's own name for the user")
	}
	wantClaims(t, w.claims(t, a.text("id_token")), map[string]any{
		"aud": appID, "iss": claims["iss"], "oid": object, "sub": claims["sub"], "tid": tenant, "preferred_username": "Ada@Example.com",
	})
	info, err := base64.RawURLEncoding.DecodeString(a.text("client_info"))
	if err != nil || string(info) != `{"uid":"`+object+`","utid":"`+string(tenant)+`"}` {
		t.Errorf("client_info %s, %v", info, err)
	}

	request.Set("scope", graph+"/.default")
	all := w.post(t, "/organizations/oauth2/v2.0/token", request)
	wantClaims(t, w.claims(t, all.text("access_token")), map[string]any{"scp": "Files.Read Mail.Read User.Read"})
	if all.text("scope") != graph+"/.default Files.Read Mail.Read User.Read" || all.text("refresh_token") != "" || all.text("id_token") != "" {
		t.Errorf("%v", all.body)
	}

	v1 := w.post(t, "/common/oauth2/token", form("grant_type", "password", "client_id", appID, "username", "ada@example.com", "password", "x", "resource", graph))
	wantClaims(t, w.claims(t, v1.text("access_token")), map[string]any{"oid": object, "unique_name": "ada@example.com", "appid": appID, "ver": "1.0"})
	if v1.text("refresh_token") == "" {
		t.Error("v1 gives a refresh token unasked")
	}
}

// contract 8.3.
func TestTenants(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *devissuer.Options) { o.DefaultTenant = heliograph.TenantID(strings.ToUpper(tenantA)) })
	contoso := heliograph.DeriveGUID("tenant", "contoso.example").String()
	for name, want := range map[string]string{
		"common": tenantA, "organizations": tenantA, "Common": tenantA, "consumers": string(heliograph.PersonalTenant),
		contoso: contoso, strings.ToUpper(contoso): contoso, "contoso.example": contoso, "CONTOSO.example": contoso,
	} {
		a := w.post(t, "/"+name+"/oauth2/v2.0/token", form("grant_type", "password", "client_id", appID, "username", "u", "password", "p", "scope", "User.Read"))
		wantClaims(t, w.claims(t, a.text("access_token")), map[string]any{"tid": want, "iss": w.http.URL + "/" + want + "/v2.0"})
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const path = "/common/oauth2/v2.0/token"
	first := w.post(t, path, form("grant_type", "password", "client_id", appID, "username", "ada@example.com", "password", "x", "scope", "Mail.Read openid offline_access"))
	refresh := form("grant_type", "refresh_token", "client_id", appID, "refresh_token", first.text("refresh_token"))
	w.clock.Advance(2 * time.Hour)
	again := w.post(t, path, refresh)
	wantClaims(t, w.claims(t, again.text("access_token")), map[string]any{
		"scp": "Mail.Read", "upn": "ada@example.com", "oid": w.claims(t, first.text("access_token"))["oid"], "exp": start.Add(3 * time.Hour).Unix(),
	})
	if again.text("id_token") == "" || again.text("refresh_token") == "" {
		t.Errorf("%v", again.body)
	}
	refresh.Set("scope", "Files.Read")
	other := w.post(t, path, refresh)
	wantClaims(t, w.claims(t, other.text("access_token")), map[string]any{"scp": "Files.Read"})
	if other.text("id_token") == "" || other.text("refresh_token") == "" {
		t.Errorf("%v", other.body)
	}

	token := first.text("refresh_token")
	if strings.Contains(token, "ada") || strings.Contains(token, base64.RawURLEncoding.EncodeToString([]byte("ada@example.com"))) {
		t.Error("a refresh token can be read")
	}
	refused := func(name, path string, code float64, change func(f url.Values)) {
		f := form("grant_type", "refresh_token", "client_id", appID, "refresh_token", token)
		change(f)
		a := w.post(t, path, f)
		if a.status != http.StatusBadRequest || a.body["error"] != "invalid_grant" || asJSON(t, a.body["error_codes"]) != asJSON(t, []float64{code}) {
			t.Errorf("%s: %d %v", name, a.status, a.body)
		}
	}
	refused("another application", path, 700005, func(f url.Values) { f.Set("client_id", "other") })
	refused("another tenant", "/"+tenantA+"/oauth2/v2.0/token", 50020, func(url.Values) {})
	refused("tampered with", path, 9002313, func(f url.Values) { f.Set("refresh_token", token[:len(token)-4]+"AAAA") })
	refused("cut short", path, 9002313, func(f url.Values) { f.Set("refresh_token", "1.") })
	refused("an access token", path, 9002313, func(f url.Values) { f.Set("refresh_token", first.text("access_token")) })
	w.clock.Advance(90 * 24 * time.Hour)
	refused("expired", path, 700082, func(url.Values) {})
}

func TestRefreshV1(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const path = "/common/oauth2/token"
	first := w.post(t, path, form("grant_type", "password", "client_id", appID, "username", "ada", "password", "x", "resource", "api://other"))
	again := w.post(t, path, form("grant_type", "refresh_token", "client_id", appID, "refresh_token", first.text("refresh_token")))
	wantClaims(t, w.claims(t, again.text("access_token")), map[string]any{"aud": "api://other", "ver": "1.0", "upn": "ada"})
}

// contract 8.1.
func TestAudiences(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const graphID = "00000003-0000-0000-c000-000000000000"
	for scope, want := range map[string]string{
		graph + "/.default":                    graph,
		graph + "//.default":                   graph,
		"HTTPS://Graph.Microsoft.com/.default": graph,
		".default":                             graph,
		w.http.URL + "/.default":               graph, // a client that is pointed here derives the scope from the address
		graphID + "/.default":                  graphID,
		"api://other/.default":                 "api://other",
		"https://other.example/.default":       "https://other.example",
	} {
		own := w.claims(t, w.post(t, "/common/oauth2/v2.0/token", form(
			"grant_type", "client_credentials", "client_id", appID, "client_secret", "x", "scope", scope)).text("access_token"))
		user := w.claims(t, w.post(t, "/common/oauth2/v2.0/token", form(
			"grant_type", "password", "client_id", appID, "username", "ada", "password", "x", "scope", scope)).text("access_token"))
		wantClaims(t, own, map[string]any{"aud": want})
		wantClaims(t, user, map[string]any{"aud": want})
		ours := want == graph || want == graphID
		if (own["roles"] != nil) != ours || (user["scp"] != nil) != ours {
			t.Errorf("%s: roles %v, scp %v", scope, own["roles"], user["scp"])
		}
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	w := setup(t)
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + appID + `","sub":"` + appID + `"}`))
	request := form("grant_type", "client_credentials", "scope", graph+"/.default", "client_assertion", "e30."+payload+".x",
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	a := w.post(t, "/common/oauth2/v2.0/token", request)
	wantClaims(t, w.claims(t, a.text("access_token")), map[string]any{"azp": appID, "azpacr": "2"})

	for _, assertion := range []string{"x", "e30.!.x", "e30.e30.x", "e30.W10.x"} {
		request.Set("client_assertion", assertion)
		wantFault(t, w.post(t, "/common/oauth2/v2.0/token", request), http.StatusBadRequest, "invalid_request", 900144)
	}
	request.Set("client_id", appID)
	for _, secret := range []heliograph.Secret{{}, heliograph.NewSecret("x")} {
		w := setup(t, func(o *devissuer.Options) { o.Applications = []devissuer.Application{{ID: appID, Secret: secret}} })
		wantFault(t, w.post(t, "/common/oauth2/v2.0/token", request), http.StatusUnauthorized, "invalid_client", 700027)
	}
}

func TestCorrelation(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := newRequest(t, http.MethodPost, w.http.URL+"/common/oauth2/v2.0/token", "")
	r.Header.Set("Client-Request-Id", strings.ToUpper(tenantA))
	if a := w.do(t, r); a.text("correlation_id") != tenantA || a.header.Get("Client-Request-Id") != tenantA {
		t.Errorf("%v %v", a.body, a.header)
	}
	r.Header.Set("Client-Request-Id", "<script>")
	if a := w.do(t, r); strings.Contains(a.text("error_description"), "<") || len(a.text("correlation_id")) != 36 {
		t.Errorf("%v", a.body)
	}
}

func TestConfiguredDirectory(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *devissuer.Options) {
		o.DefaultTenant = tenantA
		o.Applications = []devissuer.Application{
			{ID: appID, Name: "Mailroom", Secret: heliograph.NewSecret("s+e c%ret"), Roles: []string{"Mail.Read"}},
			{ID: "public"},
		}
		o.Users = []devissuer.User{
			{UPN: "ada@example.com", Password: heliograph.NewSecret("lovelace"), Name: "Ada", Object: tenantA, DirectoryRoles: []string{heliograph.GlobalAdministrator}},
			{UPN: "bob@other.example", Tenant: heliograph.TenantID(heliograph.DeriveGUID("tenant", "other.example").String())},
		}
	})
	const path = "/common/oauth2/v2.0/token"
	own := form("grant_type", "client_credentials", "client_id", appID, "client_secret", "s+e c%ret", "scope", graph+"/.default")
	wantClaims(t, w.claims(t, w.post(t, path, own).text("access_token")), map[string]any{"roles": []string{"Mail.Read"}, "app_displayname": "Mailroom"})

	basic := newRequest(t, http.MethodPost, w.http.URL+path, form("grant_type", "client_credentials", "scope", graph+"/.default").Encode())
	basic.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	basic.SetBasicAuth(url.QueryEscape(appID), url.QueryEscape("s+e c%ret")) // RFC 6749, 2.3.1
	if a := w.do(t, basic); a.status != http.StatusOK {
		t.Errorf("basic: %d %v", a.status, a.body)
	}

	ada := form("grant_type", "password", "client_id", "public", "username", "ADA@example.com", "password", "lovelace", "scope", "User.Read")
	wantClaims(t, w.claims(t, w.post(t, path, ada).text("access_token")), map[string]any{
		"oid": tenantA, "name": "Ada", "upn": "ada@example.com", "wids": []string{heliograph.GlobalAdministrator},
	})
	bob := form("grant_type", "password", "client_id", "public", "username", "bob@other.example", "password", "any", "scope", "User.Read")
	wantClaims(t, w.claims(t, w.post(t, path, bob).text("access_token")), map[string]any{"tid": heliograph.DeriveGUID("tenant", "other.example")})

	own.Set("client_secret", "wrong")
	wantFault(t, w.post(t, path, own), http.StatusUnauthorized, "invalid_client", 7000215)
	own.Set("client_id", "other")
	wantFault(t, w.post(t, path, own), http.StatusBadRequest, "unauthorized_client", 700016)
	ada.Set("password", "wrong")
	wantFault(t, w.post(t, path, ada), http.StatusBadRequest, "invalid_grant", 50126)
	ada.Set("username", "eve@example.com")
	wantFault(t, w.post(t, path, ada), http.StatusBadRequest, "invalid_grant", 50034)
	bob.Set("client_secret", "which a public client does not have")
	wantFault(t, w.post(t, path, bob), http.StatusUnauthorized, "invalid_client", 7000215)
	bob.Del("client_secret")
	bob.Set("client_id", appID)
	wantFault(t, w.post(t, path, bob), http.StatusUnauthorized, "invalid_client", 7000215)
	wantFault(t, w.post(t, "/"+tenantA+"/oauth2/v2.0/token", form("grant_type", "password", "client_id", "public", "username", "bob@other.example", "password", "x", "scope", "User.Read")),
		http.StatusBadRequest, "invalid_grant", 50034)
}

func wantFault(tb testing.TB, a *answer, status int, code string, number float64) {
	tb.Helper()
	if a.status != status || a.body["error"] != code || asJSON(tb, a.body["error_codes"]) != asJSON(tb, []float64{number}) {
		tb.Errorf("%d %v, want %d %s %.0f", a.status, a.body, status, code, number)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	w := setup(t)
	client := func(more ...string) url.Values {
		return form(append([]string{"grant_type", "client_credentials", "client_id", appID, "client_secret", "x", "scope", graph + "/.default"}, more...)...)
	}
	user := func(more ...string) url.Values {
		return form(append([]string{"grant_type", "password", "client_id", appID, "username", "a", "password", "x", "scope", "User.Read"}, more...)...)
	}
	tests := []struct {
		name   string
		path   string
		form   url.Values
		status int
		code   string
		number float64
	}{
		{"nothing", "", form(), 400, "invalid_request", 900144},
		{"no application", "", client("client_id", ""), 400, "invalid_request", 900144},
		{"application that would be a path", "", client("client_id", "a/b"), 400, "unauthorized_client", 700016},
		{"grant that is not spoken", "", client("grant_type", "implicit"), 400, "unsupported_grant_type", 70003},
		{"no code", "", client("grant_type", "authorization_code"), 400, "invalid_request", 900144},
		{"no device code", "", client("grant_type", "device_code"), 400, "invalid_request", 900144},
		{"no secret", "", client("client_secret", ""), 401, "invalid_client", 7000216},
		{"no scope", "", client("scope", ""), 400, "invalid_request", 900144},
		{"scope that is not .default", "", client("scope", graph+"/Mail.Read"), 400, "invalid_scope", 1002012},
		{"scope that is no scope", "", client("scope", `"x"`), 400, "invalid_scope", 70011},
		{"scopes of two resources", "", user("scope", graph+"/Mail.Read api://x/y"), 400, "invalid_scope", 28000},
		{".default and more", "", user("scope", graph+"/.default Mail.Read"), 400, "invalid_scope", 70011},
		{"too many scopes", "", user("scope", strings.Repeat("x ", 300)), 400, "invalid_scope", 70011},
		{"scopes that are too long", "", user("scope", strings.Repeat(strings.Repeat("x", 200)+" ", 100)), 400, "invalid_scope", 70011},
		{"form that is too long", "", user("x", strings.Repeat("x", 70_000)), 400, "invalid_request", 90014},
		{"no user", "", user("username", ""), 400, "invalid_request", 900144},
		{"no password", "", user("password", ""), 400, "invalid_request", 900144},
		{"user that would be a path", "", user("username", "a/b"), 400, "invalid_grant", 50034},
		{"no refresh token", "", user("grant_type", "refresh_token"), 400, "invalid_request", 900144},
		{"unknown tenant", "/nowhere/oauth2/v2.0/token", client(), 400, "invalid_request", 90002},
		{"personal application", "/consumers/oauth2/v2.0/token", client(), 400, "unauthorized_client", 700016},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := test.path
			if path == "" {
				path = "/common/oauth2/v2.0/token"
			}
			a := w.post(t, path, test.form)
			wantFault(t, a, test.status, test.code, test.number)
			for _, name := range []string{"error_description", "timestamp", "trace_id", "correlation_id", "error_uri"} {
				if a.text(name) == "" || len(a.text(name)) > 600 {
					t.Errorf("%s = %q", name, a.text(name))
				}
			}
			if !strings.HasPrefix(a.text("error_description"), "AADSTS"+asJSON(t, test.number)+": ") || a.header.Get("Client-Request-Id") != a.text("correlation_id") {
				t.Errorf("%v %v", a.body, a.header)
			}
		})
	}
	wantFault(t, w.get(t, "/common/oauth2/v2.0/token"), 400, "invalid_request", 900561)
	wantFault(t, w.get(t, "/nowhere/v2.0/.well-known/openid-configuration"), 400, "invalid_request", 90002)
	wantFault(t, w.get(t, "/nowhere/discovery/keys"), 400, "invalid_request", 90002)
}
