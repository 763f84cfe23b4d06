package httpapi_test

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/subscribe"
)

const (
	plainCreate = `{"changeType":"created,updated","notificationUrl":"https://app.example/hook?a=1&b=2","resource":"/me/mailFolders('Inbox')/messages","expirationDateTime":"2026-11-24T10:30:00.9356913Z","clientState":"secretClientValue"}`
	fullCreate  = `{"changeType":"created","notificationUrl":"https://app.example/hook","lifecycleNotificationUrl":"https://app.example/life",
		"resource":"teams/getAllMessages?model=B","expirationDateTime":"2026-11-24T10:30:00+00:00","clientState":"s","includeResourceData":true,
		"encryptionCertificate":"MIIC","encryptionCertificateId":"cert-1","latestSupportedTlsVersion":"v1_3","notificationContentType":"application/json",
		"notificationQueryOptions":"$filter=x","notificationUrlAppId":"24d3b144-21ae-4080-943f-7067b395b913"}`
	firstID = "86f7b6ad-51d2-8dc6-a1dc-97a1c8f39d69"
)

// golden compares JSON with a file, byte for byte: names, order and nulls are the contract (contract 1.22).
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), got); diff != "" {
		t.Errorf("%s: want -, got +:\n%s", name, diff)
	}
}

// contract 1.22 to 1.27, 2.1 to 2.6, 2.9.
func TestSubscriptionResponses(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1.0", "beta"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			graph := []string{"Host", "graph.example"}
			root := "http://graph.example/" + version
			check := func(name string, r reply) {
				golden(t, name, strings.ReplaceAll(r.body, root, "http://graph.example/v1.0"))
			}

			made := b.send("POST", "/"+version+"/subscriptions", plainCreate, graph...)
			id := b.shelf.list[0].ID.String()
			b.wants(made, http.StatusCreated, "Location", root+"/subscriptions/"+id,
				"Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
			check("create", made)
			if b.shelf.created[0].Beta != (version == "beta") {
				t.Error("the version did not reach the service")
			}

			b.wants(b.send("POST", "/"+version+"/subscriptions", fullCreate, graph...), http.StatusCreated)
			one := b.send("GET", "/"+version+"/subscriptions/"+b.shelf.list[1].ID.String(), "", graph...)
			b.wants(one, http.StatusOK)
			check("get-full", one)

			list := b.send("GET", "/"+version+"/subscriptions", "", graph...)
			b.wants(list, http.StatusOK)
			check("list", list)

			renewed := b.send("PATCH", "/"+version+"/subscriptions/"+id, `{"expirationDateTime":"2026-11-25T10:30:00Z"}`, graph...)
			b.wants(renewed, http.StatusOK)
			check("patch", renewed)

			for _, gone := range []reply{
				b.send("POST", "/"+version+"/subscriptions/"+id+"/reauthorize", ""),
				b.send("DELETE", "/"+version+"/subscriptions/"+id, ""),
			} {
				b.wants(gone, http.StatusNoContent, "Content-Type", "", "Content-Length", "")
				if gone.body != "" {
					t.Errorf("a body: %s", gone.body)
				}
			}
			b.refuses(b.send("DELETE", "/"+version+"/subscriptions/"+id, ""), 404, "ResourceNotFound", "The object was not found.", "subscription.not_found") // contract 5.38, 7.13
		})
	}
}

func TestCreateRequestReachesTheServiceAsWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.wants(b.send("POST", "/v1.0/subscriptions", fullCreate,
		"Prefer", `respond-async, IdType="ImmutableId"; x=1, INCLUDE-unknown-enum-members,includesecuritywebhooks`,
		"x-ms-enable-features", "EventGrid"), 201) // contract 9.4: says nothing
	got := b.shelf.created[0]
	if got.RequestID.IsZero() {
		t.Error("no request id")
	}
	yes := true
	want := subscribe.CreateRequest{
		RequestID: got.RequestID, Resource: "teams/getAllMessages?model=B", ChangeType: "created",
		NotificationURL: "https://app.example/hook", LifecycleNotificationURL: "https://app.example/life",
		ExpirationDateTime: "2026-11-24T10:30:00+00:00", ClientState: heliograph.NewSecret("s"), IncludeResourceData: &yes,
		EncryptionCertificate: "MIIC", EncryptionCertificateID: "cert-1", LatestSupportedTLSVersion: "v1_3",
		NotificationContentType: "application/json", NotificationQueryOptions: "$filter=x", NotificationURLAppID: app,
		ImmutableIDs: true, IncludeUnknownEnumMembers: true, IncludeSecurityWebhooks: true, // contract 9.1 to 9.3
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b heliograph.Secret) bool { return a == b })); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestPreferOnlyWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	for prefer, want := range map[string][3]bool{
		"":                               {},
		`IdType="ImmutableId"`:           {true, false, false},
		`idtype=immutableid`:             {true, false, false},
		`IdType="Mutable"`:               {},
		`include-unknown-enum-members`:   {false, true, false},
		`includesecuritywebhooks`:        {false, false, true},
		`handling=lenient, odata.track;`: {},
	} {
		b := newBench(t)
		b.send("POST", "/v1.0/subscriptions", plainCreate, "Prefer", prefer)
		r := b.shelf.created[0]
		if got := [3]bool{r.ImmutableIDs, r.IncludeUnknownEnumMembers, r.IncludeSecurityWebhooks}; got != want {
			t.Errorf("%s: %v, want %v", prefer, got, want)
		}
	}
}

// What real clients send, byte for byte where it matters.
func TestWhatClientsSend(t *testing.T) {
	t.Parallel()
	const alphabetical = `{"changeType":"updated","clientState":"cs","expirationDateTime":"2026-11-21T23:55:33Z","notificationUrl":"http://127.0.0.1:9000/hook","resource":"me/drive/root"}`
	tests := map[string]struct {
		body   string
		header []string
	}{
		"Go SDK": {gzipped(alphabetical), []string{
			"Content-Encoding", "gzip", "Content-Type", "application/json", "Accept", "application/json",
			"Client-Request-Id", "0c8e0c7e-0a6c-4c5f-9a3e-0a0a0a0a0a0a", "User-Agent", "kiota-go/1.0",
		}},
		"JavaScript SDK": {
			`{"changeType":"updated","notificationUrl":"https://localhost:9000/hook","resource":"/me/drive/root","expirationDateTime":"2026-11-21T23:55:33.123Z","clientState":"cs"}`,
			[]string{"Content-Type", "application/json", "SdkVersion", "graph-js/3.0.7"},
		},
		"Kiota TypeScript": {
			`{"@odata.type":"#microsoft.graph.subscription","changeType":"updated","expirationDateTime":"2026-11-21T23:55:33.1234567+00:00","notificationUrl":"http://localhost:9000/hook","resource":"me/drive/root","clientState":null}`,
			[]string{"Content-Type", "application/json;charset=UTF-8"},
		},
		"CLI for Microsoft 365": {
			`{"resource":"me/drive/root","changeType":"updated","expirationDateTime":"2026-11-21T23:55:33.000Z","notificationUrl":"https://x.example","latestSupportedTlsVersion":"v1_2","notificationUrlAppId":"24d3b144-21ae-4080-943f-7067b395b913"}`,
			[]string{"Content-Type", "application/json", "Accept", "application/json;odata.metadata=none"},
		},
		"an old .NET SDK": {
			`{"id":null,"applicationId":null,"@odata.type":"microsoft.graph.subscription","changeType":"updated","expirationDateTime":"2026-11-21T23:55:33+05:30","notificationUrl":"https://x.example","resource":"me/drive/root"}`,
			[]string{"Content-Type", "application/json; odata.metadata=minimal"},
		},
		"no Content-Type": {alphabetical, []string{"Content-Type", ""}},
		"x-gzip":          {gzipped(alphabetical), []string{"Content-Encoding", "X-GZIP"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			made := b.send("POST", "/v1.0/subscriptions", test.body, test.header...)
			b.wants(made, http.StatusCreated)
			if r := b.shelf.created[0]; r.ChangeType != "updated" || strings.TrimPrefix(r.Resource, "/") != "me/drive/root" {
				t.Errorf("%+v", r)
			}
			for i := 0; i < len(test.header); i += 2 {
				switch test.header[i] {
				case "Client-Request-Id":
					b.wants(made, 201, "client-request-id", test.header[i+1]) // contract 5.2
				case "Accept":
					if bare := strings.Contains(test.header[i+1], "none"); bare == strings.Contains(made.body, "@odata.context") {
						t.Errorf("@odata.context: %s", made.body)
					}
				}
			}
			id := b.shelf.list[0].ID.String()
			// The Go SDK sends nothing and no type, the JavaScript SDK a type and nothing, others {} or what they like.
			for _, body := range []string{"", "{}", "null"} {
				for _, contentType := range []string{"", "application/json", "text/plain"} {
					b.wants(b.send("POST", "/v1.0/subscriptions/"+id+"/reauthorize", body, "Content-Type", contentType), 204)
				}
			}
		})
	}
}

// contract 2.11: no other header is needed.
func TestAuthorizationIsEnough(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, version := range []string{"v1.0", "beta"} {
		b.wants(b.send("POST", "/"+version+"/subscriptions", plainCreate, "Content-Type", "", "User-Agent", "", "Accept-Encoding", ""), 201)
		b.wants(b.send("PATCH", "/"+version+"/subscriptions/"+b.shelf.list[0].ID.String(), `{"expirationDateTime":"2026-11-25T10:30:00Z"}`, "Content-Type", ""), 200)
	}
}

// contract 18.2, 18.3 for the path of the API itself.
// Of two tokens none is taken: what stands before the server may have looked at the other.
func TestAuthorizationComesOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/v1.0/subscriptions", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header["Authorization"] = []string{"Bearer reader", "Bearer reader"}
	response, err := b.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized || response.Header.Get("Heliograph-Rule") != "authenticate.several" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}

// A client that changes what cannot be changed is told that it did not.
func TestUpdateSaysWhatItIgnores(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.wants(b.send("POST", "/v1.0/subscriptions", plainCreate), http.StatusCreated)
	path := "/v1.0/subscriptions/" + b.shelf.list[0].ID.String()
	r := b.send("PATCH", path, `{"clientState":"new","expirationDateTime":"2026-11-22T12:00:00Z","resource":"me/events","@odata.type":"x"}`)
	b.wants(r, http.StatusOK, "Heliograph-Ignored", "clientState, resource")
	b.wants(b.send("PATCH", path, `{"expirationDateTime":"2026-11-22T12:00:00Z","clientState":null}`), http.StatusOK, "Heliograph-Ignored", "")
}

func TestPathForms(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.send("POST", "/v1.0/subscriptions/", plainCreate)
	id := b.shelf.list[0].ID.String()
	for _, path := range []string{
		"/v1.0/subscriptions/" + id, "/v1.0/subscriptions/" + id + "/", "/v1.0/Subscriptions/" + strings.ToUpper(id),
		"/V1.0/subscriptions('" + id + "')", "/beta/subscriptions(%27" + id + "%27)", "/v1.0/subscriptions(" + id + ")",
	} {
		b.wants(b.send("GET", path, ""), http.StatusOK)
	}
	b.wants(b.send("POST", "/v1.0/subscriptions('"+id+"')/reauthorize/", ""), http.StatusNoContent)
	b.wants(b.send("GET", "/beta/SUBSCRIPTIONS/", ""), http.StatusOK)
	b.wants(b.send("HEAD", "/v1.0/subscriptions", ""), http.StatusOK)
	// Old SDKs write the action's namespace, OData allows its parentheses.
	b.wants(b.send("POST", "/v1.0/subscriptions/"+id+"/microsoft.graph.reauthorize", ""), http.StatusNoContent)
	b.wants(b.send("POST", "/v1.0/subscriptions/"+id+"/Microsoft.Graph.reauthorize()", ""), http.StatusNoContent)
	b.refuses(b.send("GET", "/v1.0/subscriptions/not-a-guid", ""), 404, "ResourceNotFound", "The object was not found.", "subscription.id")
	for path, segment := range map[string]string{
		"/v1.0/subscriptions/" + id + "/unknown":       "unknown",
		"/v1.0/subscriptions/" + id + "/reauthorize/x": "x",
		"/v1.0/users/me/messages":                      "users",
		"/BETA/me":                                     "me",
		"/v1.0/me/drive":                               "drive",
		"/v1.0//subscriptions":                         "",
	} {
		b.refuses(b.send("GET", path, ""), 400, "BadRequest", "Resource not found for the segment '"+segment+"'.", "request.path")
	}
	for _, path := range []string{"/v2.0/subscriptions", "/v1/subscriptions", "/subscriptions", "/$batch", "/$metadata"} {
		b.refuses(b.send("GET", path, ""), 400, "BadRequest", "Invalid version.", "request.version")
	}
	for path, segment := range map[string]string{"/publish/x": "x", "/nowhere": "nowhere", "/control/v1": "v1", "/v1.0.example/x": "v1.0.example"} {
		b.refuses(b.send("GET", path, ""), 404, "ResourceNotFound", "Resource not found for the segment '"+segment+"'.", "request.path")
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for path, allow := range map[string]string{
		"/v1.0/subscriptions":                             "GET, HEAD, OPTIONS, POST",
		"/beta/subscriptions/" + firstID:                  "DELETE, GET, HEAD, OPTIONS, PATCH",
		"/v1.0/subscriptions/" + firstID + "/reauthorize": "OPTIONS, POST",
		"/v1.0/$batch":                                    "OPTIONS, POST",
		"/beta/$metadata":                                 "GET, HEAD, OPTIONS",
		"/publish":                                        "OPTIONS, POST",
		"/healthz":                                        "GET, HEAD, OPTIONS",
	} {
		r := b.send("PUT", path, "{}")
		b.refuses(r, http.StatusMethodNotAllowed, "methodNotAllowed", "The method is not supported for this URL.", "request.method")
		b.wants(r, http.StatusMethodNotAllowed, "Allow", allow, "Heliograph-Detail", `the method "PUT" is not one of `+allow)
		b.wants(b.send("OPTIONS", path, "", "Authorization", ""), http.StatusNoContent, "Allow", allow, "Content-Length", "")
	}
	for _, path := range []string{"/v1.0/subscriptions", "/v1.0/$metadata", "/v1.0", "/openapi.json"} {
		got, head := b.send("GET", path, ""), b.send("HEAD", path, "")
		if head.body != "" || head.StatusCode != 200 || head.ContentLength != int64(len(got.body)) || head.Header.Get("Content-Type") != got.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: %d, %d bytes of %d, %s", path, head.StatusCode, head.ContentLength, len(got.body), head.Header.Get("Content-Type"))
		}
	}
}

// contract 6.2, 6.3: pages are followed by a link of the request's own origin, and no item tells its state.
func TestListPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 5 {
		b.send("POST", "/v1.0/subscriptions", plainCreate)
	}
	b.shelf.pageSize = 2
	var pages, seen int
	for next := "/v1.0/subscriptions?$top=1"; next != ""; pages++ {
		r := b.send("GET", next, "")
		b.wants(r, http.StatusOK)
		var list struct {
			Value []struct {
				ClientState *string
				ID          string
			}
			Next string `json:"@odata.nextLink"`
		}
		decode(t, r.body, &list)
		for _, s := range list.Value {
			if s.ClientState != nil || s.ID == "" {
				t.Errorf("%+v", s)
			}
			seen++
		}
		if list.Next != "" && !strings.HasPrefix(list.Next, b.URL+"/v1.0/subscriptions?$skiptoken=") {
			t.Fatalf("next link %s", list.Next)
		}
		next = strings.TrimPrefix(list.Next, b.URL)
	}
	if pages != 3 || seen != 5 {
		t.Errorf("%d subscriptions on %d pages", seen, pages)
	}
}

// contract 5.2, 9.5.
func TestCommonHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range []string{"/v1.0/subscriptions", "/nowhere", "/healthz"} {
		r := b.send("GET", path, "", "client-request-id", "abc")
		b.wants(r, r.StatusCode, "Client-Request-Id", "abc", "Cache-Control", "private", "X-Content-Type-Options", "nosniff",
			"X-Ms-Ags-Diagnostic", `{"ServerInfo":{"DataCenter":"Heliograph","Ring":"1","RoleInstance":"node-1","ScaleUnit":"000","Slice":"E"}}`,
			"Strict-Transport-Security", "")
		if _, ok := heliograph.ParseGUID(r.Header.Get("request-id")); !ok {
			t.Errorf("request-id %q", r.Header.Get("request-id"))
		}
	}
	for _, own := range []string{"", strings.Repeat("x", 129), "caf\u00e9"} {
		r := b.send("GET", "/healthz", "", "client-request-id", own)
		if r.Header.Get("client-request-id") != r.Header.Get("request-id") {
			t.Errorf("client-request-id %q", r.Header.Get("client-request-id"))
		}
	}
}

// Whose word counts about the address that the client used.
func TestOrigin(t *testing.T) {
	t.Parallel()
	trusting := func(o *httpapi.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	elsewhere := func(o *httpapi.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }
	tests := []struct {
		options func(*httpapi.Options)
		header  []string
		want    string
	}{
		{trusting, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "graph.example:8443"}, "https://graph.example:8443"},
		{trusting, []string{"X-Forwarded-Proto", "https", "Host", "inner"}, "https://inner"},
		{trusting, []string{"X-Forwarded-Host", "graph.example, middle.example"}, "http://graph.example"},
		{trusting, []string{"X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "a/b", "Host", "inner"}, "http://inner"},
		{trusting, []string{"X-Forwarded-Host", "user@evil", "Host", "inner"}, "http://inner"},
		{trusting, []string{"Host", "inner"}, "http://inner"},
		{elsewhere, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "graph.example", "Host", "inner"}, "http://inner"},
		{func(*httpapi.Options) {}, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "graph.example", "Host", "inner"}, "http://inner"},
	}
	for _, test := range tests {
		b := newBench(t, test.options)
		r := b.send("GET", "/beta/subscriptions", "", test.header...)
		var list struct {
			Context string `json:"@odata.context"`
		}
		decode(t, r.body, &list)
		if want := test.want + "/beta/$metadata#subscriptions"; list.Context != want {
			t.Errorf("%v: %s, want %s", test.header, list.Context, want)
		}
		secure := ""
		if strings.HasPrefix(test.want, "https") {
			secure = "max-age=31536000"
		}
		b.wants(r, 200, "Strict-Transport-Security", secure)
	}
	b := newBench(t, trusting)
	for _, local := range []string{"localhost:8443", "app.localhost", "127.0.0.1", "[::1]:8443"} {
		b.wants(b.send("GET", "/healthz", "", "X-Forwarded-Proto", "https", "Host", local), 200, "Strict-Transport-Security", "")
	}
}
