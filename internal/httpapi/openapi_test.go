package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
)

// operation is a call that the description knows.
type operation struct {
	id, method, path string // the path with {version} filled in
	about            map[string]any
}

// described is docs/reference/openapi.yaml.
var described = sync.OnceValue(func() schemas {
	text, err := os.ReadFile("../../docs/reference/openapi.yaml")
	if err != nil {
		panic(err)
	}
	var fromYAML any
	if err := yaml.Unmarshal(text, &fromYAML); err != nil {
		panic(err)
	}
	asJSON, err := json.Marshal(fromYAML)
	if err != nil {
		panic(err)
	}
	root, err := asAny(string(asJSON))
	if err != nil {
		panic(err)
	}
	return schemas{object(root)}
})

// operations returns what the description knows, for both versions.
func operations() []operation {
	var all []operation
	for path, item := range object(described().root["paths"]) {
		for method, about := range object(item) {
			if method == "parameters" {
				continue
			}
			o := operation{method: strings.ToUpper(method), about: object(about)}
			o.id, _ = o.about["operationId"].(string)
			versions := []string{""}
			if strings.Contains(path, "{version}") {
				versions = []string{"v1.0", "beta"}
			}
			for _, version := range versions {
				o.path = strings.Replace(path, "{version}", version, 1)
				all = append(all, o)
			}
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// operationOf returns the operation that a request is, literal paths before those with names in them.
func operationOf(method, path string) (operation, bool) {
	var best operation
	names := -1
	for _, o := range operations() {
		if o.method == method && fits(o.path, path) && (names < 0 || strings.Count(o.path, "{") < names) {
			best, names = o, strings.Count(o.path, "{")
		}
	}
	return best, names >= 0
}

func fits(template, path string) bool {
	return slices.EqualFunc(strings.Split(template, "/"), strings.Split(path, "/"), func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != ""
	})
}

// responses returns the statuses that an operation is described with, "default" among them.
func (o operation) responses() map[string]any { return object(o.about["responses"]) }

// conforms fails the test when an answer is not as described. Every answer of every test comes here.
func (b *bench) conforms(r reply) {
	b.t.Helper()
	o, found := operationOf(r.Request.Method, r.Request.URL.Path)
	if !found {
		return // no call of the API, or written in another way
	}
	wrong := func(format string, args ...any) {
		b.t.Helper()
		b.t.Errorf(r.Request.Method+" "+r.Request.URL.Path+", "+strconv.Itoa(r.StatusCode)+": "+format, args...)
	}
	s := described()
	response := s.resolve(o.responses()[strconv.Itoa(r.StatusCode)])
	if response == nil {
		if r.StatusCode < 400 {
			wrong("is not described")
			return
		}
		response = s.resolve(o.responses()["default"])
	}
	headers := object(response["headers"])
	for name, about := range headers {
		header := s.resolve(about)
		switch got := r.Header.Get(name); {
		case got == "" && header["required"] == true:
			wrong("the header %s is missing", name)
		case got != "":
			for _, problem := range s.check(header["schema"], got, name) {
				wrong("%s", problem)
			}
		}
	}
	content := object(response["content"])
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	about := object(content[media])
	switch {
	case len(content) == 0 && r.body == "":
		return
	case about == nil:
		wrong("the type %q is not described", media)
		return
	}
	var value any = r.body
	if media == "application/json" {
		var err error
		if value, err = asAny(r.body); err != nil {
			wrong("%v", err)
		}
	}
	for _, problem := range s.check(about["schema"], value, "body") {
		wrong("%s in %s", problem, r.body)
	}
}

// all is a bench with every route there is.
func all(t *testing.T, change ...func(*httpapi.Options)) *bench {
	t.Helper()
	s, nodes := &sent{}, &together{}
	b := newBench(t, append([]func(*httpapi.Options){func(o *httpapi.Options) {
		o.Clock = still()
		o.Access, o.Provoker, o.Purger = &office{}, &office{}, &office{}
		o.Handshakes, o.Minter, o.Triggers, o.Objects = handshakes(), &mint{}, fixtures(), things{}
		o.Deliveries, o.Endpoints, o.MayForce, o.Outlines = s, s, true, s
		o.Follower, o.Changes, o.Pulse, o.Faults, o.Cluster = s, s, s, &wrong{}, nodes
		o.Backups = &ark{text: "backup"}
		o.Profiler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			media := "text/html; charset=utf-8"
			if r.URL.Path != "/debug/pprof" {
				media = "application/octet-stream"
			}
			w.Header().Set("Content-Type", media)
			_, _ = w.Write([]byte("profile"))
		})
	}}, change...)...)
	b.sent, nodes.shelf = s, b.shelf
	return b
}

// Every route is described, and nothing else is.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	var want []string
	for _, o := range operations() {
		want = append(want, o.method+" "+strings.TrimSuffix(o.path, "/"))
	}
	var got []string
	for _, route := range all(t).api.Routes() {
		got = append(got, strings.TrimSuffix(route, "/"))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("described but not there -, there but not described +:\n%s", diff)
	}
}

// What the description says of itself: ids are unlike each other, tags are known, each name of a path has a parameter,
// and every reference leads somewhere.
func TestOpenAPIIsSound(t *testing.T) {
	t.Parallel()
	s := described()
	if version, _ := s.root["openapi"].(string); !strings.HasPrefix(version, "3.1.") {
		t.Errorf("version %q", version)
	}
	tags := make(map[any]bool)
	for _, tag := range list(s.root["tags"]) {
		tags[object(tag)["name"]] = true
	}
	seen := make(map[string]string)
	for _, o := range operations() {
		path := strings.NewReplacer("/v1.0", "/{version}", "/beta", "/{version}").Replace(o.path)
		if before, twice := seen[o.id]; o.id == "" || twice && before != o.method+path {
			t.Errorf("%s %s: id %q", o.method, path, o.id)
		}
		seen[o.id] = o.method + path
		for _, tag := range list(o.about["tags"]) {
			if !tags[tag] {
				t.Errorf("%s: tag %v", o.id, tag)
			}
		}
		item := object(object(s.root["paths"])[path])
		parameters, _ := item["parameters"].([]any)
		more, _ := o.about["parameters"].([]any)
		inPath := make(map[string]bool)
		for _, p := range slices.Concat(parameters, more) {
			if p := s.resolve(p); p["in"] == "path" {
				inPath[fmt.Sprintf("{%s}", p["name"])] = p["required"] == true
			}
		}
		for segment := range strings.SplitSeq(path, "/") {
			if strings.HasPrefix(segment, "{") && !inPath[segment] {
				t.Errorf("%s: %s has no parameter", o.id, segment)
			}
			delete(inPath, segment)
		}
		if len(inPath) > 0 {
			t.Errorf("%s: the path has no %v", o.id, slices.Collect(maps.Keys(inPath)))
		}
		if o.responses()["default"] == nil {
			t.Errorf("%s: nothing is said of other refusals", o.id)
		}
	}
	used := make(map[string]bool)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, isRef := v["$ref"].(string); isRef {
				s.resolve(v) // or it panics
				used[ref] = true
			}
			for _, part := range v {
				walk(part)
			}
		case []any:
			for _, part := range v {
				walk(part)
			}
		}
	}
	walk(s.root)
	for kind, components := range object(s.root["components"]) {
		for name := range object(components) {
			if kind != "securitySchemes" && !used["#/components/"+kind+"/"+name] {
				t.Errorf("nothing refers to the %s %s", kind, name)
			}
		}
	}
}

// contract 5.50: every status that is described has been given, in the form that is described.
func TestOpenAPIAnswers(t *testing.T) {
	t.Parallel()
	for _, o := range operations() {
		for status := range o.responses() {
			if status == "default" {
				continue
			}
			t.Run(o.id+" "+strings.Split(o.path, "/")[1]+" "+status, func(t *testing.T) {
				t.Parallel()
				want, err := strconv.Atoi(status)
				if err != nil {
					t.Fatal(err)
				}
				if r := provoke(t, o, want); r.StatusCode != want {
					t.Errorf("status %d: %s", r.StatusCode, r.body)
				}
			})
		}
	}
}

// provoke makes the server give a status.
func provoke(t *testing.T, o operation, status int) reply {
	t.Helper()
	kinds := map[int]heliograph.Kind{403: heliograph.Denied, 404: heliograph.NotFound, 409: heliograph.Conflict, 503: heliograph.Unavailable, 507: heliograph.Full}
	b := all(t, func(opts *httpapi.Options) {
		opts.Limits.RequestBytes, opts.Limits.PublishBytes = 2000, 2000
		if status == 429 {
			opts.Throttle = over{}
			opts.Backups = &ark{fail: over{}.Take(nil, "")}
		}
		if status == 503 {
			opts.Ready = func(context.Context) []httpapi.Check {
				return []httpapi.Check{{Name: "engine", Err: errors.New("down")}}
			}
		}
	})
	b.send("POST", "/v1.0/subscriptions", plainCreate) // so that there is one to be found
	body, media := o.example()
	header := []string{"Authorization", "Bearer operator", "Content-Type", media}
	id := firstID
	if len(b.shelf.list) > 0 {
		id = b.shelf.list[0].ID.String()
	}
	if strings.Contains(o.path, "handshakes") {
		id = handshakes()[0].ID.String()
	}
	if strings.Contains(o.path, "deliveries") {
		id = sentID().String()
	}
	if strings.Contains(o.path, "changes") {
		id = sentChange().String()
	}
	path := strings.NewReplacer("{id}", id, "{drive}", "d", "{group}", "g", "{site}", "s", "{list}", "l", "{resource}", fmt.Sprint("thing", status), "{node}", "n3").Replace(o.path)
	switch {
	case status == 400 && body == "" && o.id == "listSubscriptions":
		path += "?$skiptoken=%00"
		b.shelf.fail = heliograph.Errorf(heliograph.Invalid, "list.skiptoken", "Invalid '$skiptoken' in the request.")
	case status == 400 && o.id == "getSubscription":
		path += "?$select=nothing"
	case status == 400 && o.id == "outlineSubscriptions":
		path += "?page=nowhere"
	case status == 400 && (o.id == "listDeliveries" || o.id == "listChanges" || o.id == "followDeliveries"):
		path += "?top=0"
	case status == 200 && o.id == "followDeliveries":
		b.api.EndStreams() // or there is no end to it
	case status == 400:
		body = "]"
	case status == 409 && o.id == "purge":
		body = `{"tenant":"84bd8158-6d4d-4958-8b9f-9d6445542f95","now":true}`
	case status == 409 && o.id == "provokeLifecycle":
		body = `{"event":"missed","keep":true}`
	case status == 401:
		header[1] = ""
	case status == 413:
		body = strings.Repeat(" ", 50_000)
	case status == 415:
		header = append(header, "Content-Encoding", "br")
	case strings.Contains(o.path, "/cluster") && (status == 404 || status == 409):
		b.shelf.fail = &heliograph.Error{Kind: kinds[status], Rule: "test", Message: "m"}
	case status == 404 && o.id != "trigger" && o.about["tags"] != nil && strings.HasPrefix(o.path, "/control"):
		path = strings.Replace(path, id, firstID, 1)
	case status == 403 && (strings.HasPrefix(o.path, "/control") || o.id == "publish"):
		header[1] = "Bearer reader"
	case status == 503 && o.id != "readiness":
		header[1] = "Bearer down"
	case status == 404 && o.id == "trigger":
		body = `{"event":"nothing.created"}`
	case status == 429 && (o.id == "publish" || o.id == "trigger"):
		b.intake.fail = &heliograph.Error{Kind: heliograph.Limited, Rule: "log.size", Message: "slow down"}
	case kinds[status] != heliograph.Internal:
		fail := &heliograph.Error{Kind: kinds[status], Rule: "test", Message: "m"}
		b.shelf.fail, b.intake.fail = fail, fail
	}
	if body == "" {
		header[3] = ""
	}
	return b.send(o.method, path, body, header...)
}

// example returns the body that the description shows, and its type.
func (o operation) example() (body, media string) {
	content := object(described().resolve(o.about["requestBody"])["content"])
	if len(content) == 0 {
		return "", ""
	}
	media = slices.Min(slices.Collect(maps.Keys(content)))
	text, err := json.Marshal(object(content[media])["example"])
	if err != nil {
		panic(err)
	}
	return string(text), media
}

// over is a limit that everybody is over.
type over struct{}

func (over) Take(*heliograph.Caller, string) error {
	return &heliograph.Error{Kind: heliograph.Limited, Rule: "request.throttled", Message: "Please retry again later.", RetryAfter: 20e9}
}

// What the description shows as a request is one: it is of its own schema, and the server takes it.
func TestOpenAPIExamples(t *testing.T) {
	t.Parallel()
	shown := 0
	for _, o := range operations() {
		content := object(described().resolve(o.about["requestBody"])["content"])
		for media, about := range content {
			shown++
			about := object(about)
			for _, problem := range described().check(about["schema"], about["example"], o.id) {
				t.Error(problem)
			}
			text, err := json.Marshal(about["example"])
			if err != nil {
				t.Fatal(err)
			}
			b := all(t)
			b.send("POST", "/v1.0/subscriptions", plainCreate)
			path := strings.Replace(o.path, "{id}", b.shelf.list[0].ID.String(), 1)
			if r := b.send(o.method, path, string(text), "Authorization", "Bearer operator", "Content-Type", media); r.StatusCode >= 300 {
				t.Errorf("%s as %s: %d %s", o.id, media, r.StatusCode, r.body)
			}
		}
	}
	if shown < 9 {
		t.Errorf("%d examples", shown)
	}
}

// What the server reads is what the description says that it may be sent, but for what it takes and does not look at.
func TestOpenAPIRequests(t *testing.T) {
	t.Parallel()
	api := all(t).api
	ignored := []string{"applicationId", "creatorId", "id", "includeProperties", "vapidPublicKey", "webPushEncryptionP256dhPublicKey", "webPushEncryptionSecret"}
	for name, got := range map[string][]string{
		"SubscriptionCreation": slices.DeleteFunc(api.CreateProperties(), func(name string) bool { return slices.Contains(ignored, name) }),
		"TokenRequest":         api.TokenProperties(),
		"TriggerRequest":       api.TriggerProperties(),
	} {
		schema := described().resolve(map[string]any{"$ref": "#/components/schemas/" + name})
		want := slices.Sorted(maps.Keys(object(schema["properties"])))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: described -, read +:\n%s", name, diff)
		}
	}
}

// The server shows its description, as it was written and as JSON.
func TestOpenAPIIsServed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	text, err := os.ReadFile("../../docs/reference/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := b.send("GET", "/openapi.yaml", "", "Authorization", "")
	b.wants(r, http.StatusOK, "Content-Type", "application/yaml; charset=utf-8")
	if r.body != string(text) {
		t.Error("another text")
	}
	r = b.send("GET", "/openapi.json", "", "Authorization", "")
	b.wants(r, http.StatusOK, "Content-Type", "application/json; charset=utf-8")
	got, err := asAny(r.body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(described().root), got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}
