package app_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/receiver"
)

// documented is what Graph's documentation says of one resource: testdata/conformance.yaml says what the fields mean.
type documented struct {
	Row         string   `yaml:"row"`
	Resource    string   `yaml:"resource"`
	Also        []string `yaml:"also"`
	Work        []string `yaml:"work"`
	Personal    []string `yaml:"personal"`
	Application []string `yaml:"application"`
	Types       []string `yaml:"types"`
	Minutes     int      `yaml:"minutes"`
	Rich        int      `yaml:"rich"`
	Only        bool     `yaml:"only"`
	Lifecycle   int      `yaml:"lifecycle"`
	Select      bool     `yaml:"select"`
	Shared      bool     `yaml:"shared"`
}

// kind is a kind of caller.
type kind int

const (
	work kind = iota
	personal
	application
	kinds
)

func (k kind) String() string { return [...]string{"work", "personal", "application"}[k] }

func (d *documented) permissions(k kind) []string {
	return [...][]string{d.Work, d.Personal, d.Application}[k]
}

// caller is who asks, with what, in a tenant or as a user that nobody else is.
type caller struct {
	kind        kind
	permissions []string
}

// asked is a create: what is left out makes it the shortest that passes.
type asked struct {
	resource  string
	types     string
	minutes   int
	rich      bool
	lifecycle bool
	change    func(map[string]any)
}

// conformance puts documented facts to a server.
type conformance struct {
	*app.App
	hook        string
	certificate string
	known       []string // every permission of the table, and some that never suffice
}

// TestConformance puts the whole table of what Graph is documented to take and to refuse to a whole server over HTTP,
// and fails when a row of the catalog is not in it.
func TestConformance(t *testing.T) {
	t.Parallel()
	table := readTable(t)
	cfg := dev(t.TempDir())
	hook, _ := listener(t)
	subscriber, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: "one"})
	if err != nil {
		t.Fatal(err)
	}
	c := &conformance{App: start(t, app.Options{Config: cfg}), hook: hook, certificate: subscriber.EncryptionCertificate, known: permissionsOf(table)}
	t.Run("rows", func(t *testing.T) {
		t.Parallel()
		for _, d := range table {
			t.Run(d.Row+" "+d.Resource, func(t *testing.T) {
				t.Parallel()
				c.callers(t, &d)
				c.changeTypes(t, &d)
				c.leases(t, &d)
				c.resourceData(t, &d)
			})
		}
	})
}

func readTable(t *testing.T) []documented {
	t.Helper()
	text, err := os.ReadFile("testdata/conformance.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table []documented
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&table); err != nil {
		t.Fatal(err)
	}
	rows, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows.Rows() {
		if !slices.ContainsFunc(table, func(d documented) bool { return d.Row == row.ID }) {
			t.Errorf("%s is not in the table", row.ID)
		}
	}
	if n := len(rows.Rows()); n != 65 {
		t.Errorf("%d rows, want 65", n)
	}
	return table
}

func permissionsOf(table []documented) []string {
	known := []string{"Mail.Read.Shared", "Calendars.Read.Shared", "Contacts.Read.Shared", "Subscription.Read.All", "User.Read"} // contract 3.2.8
	for i := range table {
		for k := range kinds {
			known = append(known, table[i].permissions(k)...)
		}
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// nearest returns the permission that looks most like one that suffices and does not.
func (c *conformance) nearest(sufficient []string) string {
	best, most := "", -1
	for _, p := range c.known {
		if slices.Contains(sufficient, p) {
			continue
		}
		for _, s := range sufficient {
			n := 0
			for n < min(len(p), len(s)) && p[n] == s[n] {
				n++
			}
			if n > most {
				best, most = p, n
			}
		}
	}
	return best
}

// create sends a request, and returns the subscription or what refused it: status, code and rule.
func (c *conformance) create(t *testing.T, d *documented, by caller, a asked) (map[string]any, string, string) {
	t.Helper()
	mint := devissuer.MintRequest{Base: c.URL(), Tenant: heliograph.NewGUID().String(), App: heliograph.NewGUID().String()}
	user := heliograph.NewGUID().String()
	resource := cmp.Or(a.resource, d.Resource)
	switch by.kind {
	case application:
		mint.Roles = by.permissions
		if path, ok := strings.CutPrefix(resource, "me/"); ok {
			resource = "users/" + user + "/" + path
		}
	case personal:
		mint.Tenant = string(heliograph.PersonalTenant)
		fallthrough
	case work, kinds:
		mint.User, mint.Scopes = user, by.permissions
		resource = strings.Replace(resource, "users/{id}/", "users/"+user+"/", 1)
	}
	for strings.Contains(resource, "{id}") {
		resource = strings.Replace(resource, "{id}", heliograph.NewGUID().String(), 1)
	}
	token, _, err := c.Issuer().Mint(t.Context(), mint)
	if err != nil {
		t.Fatal(err)
	}
	if (a.rich || d.Only) && d.Select {
		resource += "?$select=id"
	}
	body := map[string]any{
		"resource": resource, "changeType": cmp.Or(a.types, strings.Join(d.Types, ",")), "notificationUrl": c.hook,
		"expirationDateTime": time.Now().Add(time.Duration(cmp.Or(a.minutes, 50)) * time.Minute).UTC(),
	}
	if a.rich {
		body["includeResourceData"], body["encryptionCertificate"], body["encryptionCertificateId"] = true, c.certificate, "one"
	}
	if a.lifecycle {
		body["lifecycleNotificationUrl"] = c.hook
	}
	if a.change != nil {
		a.change(body)
	}
	return c.post(t, token.Reveal(), body)
}

func (c *conformance) post(t *testing.T, token string, body map[string]any) (made map[string]any, refused, message string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL()+"/v1.0/subscriptions", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if response.StatusCode == http.StatusCreated {
		return answer, "", ""
	}
	problem, _ := answer["error"].(map[string]any)
	return nil, fmt.Sprint(response.StatusCode, " ", problem["code"], " ", response.Header.Get("Heliograph-Rule")), fmt.Sprint(problem["message"])
}

// passes makes a subscription.
func (c *conformance) passes(t *testing.T, d *documented, by caller, a asked) map[string]any {
	t.Helper()
	made, refused, message := c.create(t, d, by, a)
	if made == nil {
		t.Errorf("%v, %+v: %s: %s", by, a, refused, message)
	}
	return made
}

// refused asks for what is to be refused in this way.
func (c *conformance) refused(t *testing.T, d *documented, by caller, a asked, want string) (message string) {
	t.Helper()
	made, refused, message := c.create(t, d, by, a)
	if made != nil || refused != want {
		t.Errorf("%v, %+v: %v %s: %s; want %s", by, a, made, refused, message, want)
	}
	return message
}

// asked is what every create of the row needs, besides what is put to it.
func (d *documented) asked() asked { return asked{rich: d.Only} }

// some returns a caller who may.
func (d *documented) some() caller {
	for k := range kinds {
		if p := d.permissions(k); len(p) > 0 {
			return caller{k, p[:1]}
		}
	}
	return caller{}
}

// callers asks with each permission that suffices, with the one that comes nearest and does not, and as each kind of
// caller that is not supported (contract 3.2.1, 3.2.2, 3.2.7, 3.2.8, 5.30, 8.4, 8.6 to 8.9).
func (c *conformance) callers(t *testing.T, d *documented) {
	t.Helper()
	for k := range kinds {
		sufficient := d.permissions(k)
		if len(sufficient) == 0 {
			if !d.Shared {
				c.refused(t, d, caller{k, c.known}, d.asked(), "403 Forbidden create.permission.kind")
			}
			continue
		}
		for _, p := range sufficient {
			c.passes(t, d, caller{k, []string{p}}, d.asked())
		}
		short := caller{k, []string{c.nearest(sufficient)}}
		message := c.refused(t, d, short, d.asked(), "403 Forbidden create.permission")
		for _, want := range []string{"API requires one of '", sufficient[0], "on the request '" + short.permissions[0] + "'"} {
			if !strings.Contains(message, want) {
				t.Errorf("%q does not say %s", message, want)
			}
		}
		for _, resource := range d.Also {
			a := d.asked()
			a.resource = resource
			c.passes(t, d, caller{k, sufficient[:1]}, a)
		}
	}
}

// changeTypes asks for each type that there is, and for each that there is not (contract 3.2.5, 5.13, 1.3).
func (c *conformance) changeTypes(t *testing.T, d *documented) {
	t.Helper()
	for _, types := range []string{"created", "updated", "deleted", "moved"} {
		a := d.asked()
		if a.types = types; slices.Contains(d.Types, types) {
			c.passes(t, d, d.some(), a)
		} else if message := c.refused(t, d, d.some(), a, "400 InvalidRequest create.change_type"); message != "Invalid 'changeType' attribute: '"+types+"'." {
			t.Errorf("%s: %q", types, message)
		}
	}
}

// leases asks for the longest one and for one that is longer, with and without a lifecycleNotificationUrl (contract
// 3.2.10, 3.2.11, 5.15 to 5.17, 17.1 to 17.14, 3.3.8).
func (c *conformance) leases(t *testing.T, d *documented) {
	t.Helper()
	for _, rich := range []bool{false, true} {
		longest := d.Minutes
		if rich {
			longest = d.Rich
		}
		if longest == 0 || d.Only && !rich {
			continue
		}
		made := c.passes(t, d, d.some(), asked{rich: rich, minutes: longest - 1, lifecycle: true})
		until, err := time.Parse(time.RFC3339, fmt.Sprint(made["expirationDateTime"]))
		if ahead := time.Until(until).Minutes(); err != nil || ahead < float64(max(longest-1, 45))-1 || ahead > float64(max(longest-1, 45)) {
			t.Errorf("rich: %t, %d minutes are %f, %v", rich, longest-1, ahead, err)
		}
		message := c.refused(t, d, d.some(), asked{rich: rich, minutes: longest + 1, lifecycle: true}, tooLong(d))
		if !strings.Contains(message, "beyond allowed max") && !strings.Contains(message, fmt.Sprintf("only be %d minutes in the future", longest)) {
			t.Errorf("rich: %t, %q", rich, message)
		}
		switch {
		case d.Lifecycle == 0:
			c.passes(t, d, d.some(), asked{rich: rich, minutes: longest - 1})
		case d.Lifecycle < longest:
			c.passes(t, d, d.some(), asked{rich: rich, minutes: d.Lifecycle - 1})
			c.refused(t, d, d.some(), asked{rich: rich, minutes: d.Lifecycle + 1}, "400 InvalidRequest create.lifecycle_url.required")
		}
	}
}

// tooLong is how a lease is refused: Teams has its own words.
func tooLong(d *documented) string {
	if d.Lifecycle > 0 && !strings.HasPrefix(d.Row, "virtualEvent") {
		return "400 ExtensionError create.expiration.maximum.teams"
	}
	return "400 ExtensionError create.expiration.maximum"
}

// resourceData asks for notifications with data and without (contract 3.3.1, 3.3.2, 3.3.4 to 3.3.6).
func (c *conformance) resourceData(t *testing.T, d *documented) {
	t.Helper()
	by, with := d.some(), asked{rich: true}
	if d.Only {
		c.refused(t, d, by, asked{}, "400 InvalidRequest create.rich.only")
	}
	if d.Rich == 0 {
		c.refused(t, d, by, with, "400 InvalidRequest create.rich.unsupported")
		return
	}
	if made := c.passes(t, d, by, with); made["includeResourceData"] != true || made["encryptionCertificateId"] != "one" {
		t.Errorf("%v", made)
	}
	for _, property := range []string{"encryptionCertificate", "encryptionCertificateId"} {
		with.change = func(body map[string]any) { delete(body, property) }
		if message := c.refused(t, d, by, with, "400 InvalidRequest create.certificate.missing"); !strings.Contains(message, "'"+property+"'") {
			t.Errorf("without %s: %q", property, message)
		}
	}
	if d.Select {
		with.change = func(body map[string]any) {
			body["resource"], _, _ = strings.Cut(fmt.Sprint(body["resource"]), "?")
		}
		c.refused(t, d, by, with, "400 InvalidRequest create.rich.select.required")
	}
}
