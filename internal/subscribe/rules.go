package subscribe

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// rule is one thing that a request must get right. It reads the draft, may fill in what later rules and the
// subscription need, and answers with the refusal, named by the profile's rule, or nil. Rules are pure: the
// same draft gives the same answer.
type rule struct {
	name  string
	check func(*draft) error
}

// createRules is what create asks, in the order of contract 3.1.4: the first refusal is the answer. Quotas,
// twins and the endpoints themselves come after it, because they need more than the request.
func createRules() []rule {
	return []rule{
		{"required", required},
		{"notification url", notificationURL},
		{"lifecycle url", lifecycleURL},
		{"change type", changeType},
		{"resource", resource},
		{"cloud", inCloud},
		{"change type of resource", changeTypeOfResource},
		{"permission", permission},
		{"own mailbox", ownMailbox},
		{"not barred", notBarred},
		{"expiration", expiration},
		{"lifecycle url required", lifecycleURLRequired},
		{"client state", clientState},
		{"tls version", tlsVersion},
		{"rich support", richSupport},
		{"query options", queryOptions},
		{"notification query options", notificationQueryOptions},
		{"selection", selection},
		{"certificate", certificate},
		{"web push", webPush},
	}
}

// updateRules is what update asks. The draft's subscription is the stored one with what was sent put in.
func updateRules() []rule {
	return []rule{
		{"something to update", somethingToUpdate},
		{"notification url", notificationURL},
		{"permission", permission},
		{"not barred", notBarred},
		{"not after a reauthorize", notAfterReauthorize},
		{"expiration", expiration},
		{"lifecycle url required", lifecycleURLRequired},
		{"certificate", certificate},
	}
}

// reauthorizeRules is what reauthorize asks.
func reauthorizeRules() []rule {
	return []rule{
		{"permission", permission},
		{"not barred", notBarred},
		{"not after a renewal", notAfterRenewal},
	}
}

// draft is a subscription on its way to being one, with what the rules judge it by.
type draft struct {
	operation string // "Create" or "Update", as Graph's texts write it
	profile   *catalog.Profile
	catalog   *catalog.Catalog
	strict    bool
	checkURL  func(string) error
	bars      func(*heliograph.Caller, string) heliograph.Reason // why somebody is kept from a path, or nothing
	now       time.Time
	caller    *heliograph.Caller
	beta      bool
	webPush   bool
	// expires is expirationDateTime as sent, update what a PATCH sent.
	expires  string
	update   UpdateRequest
	resolved catalog.Resolved
	sub      heliograph.Subscription
}

// judge returns the first refusal.
func (d *draft) judge(rules []rule) error {
	for _, r := range rules {
		if err := r.check(d); err != nil {
			return err
		}
	}
	return nil
}

// refuse returns the profile's refusal of a rule; args are names and values by turns.
func (d *draft) refuse(name string, args ...string) error {
	m := map[string]string{"operation": d.operation}
	for i := 0; i+1 < len(args); i += 2 {
		m[args[i]] = args[i+1]
	}
	return d.profile.Refuse(name, m)
}

func (d *draft) rich() bool {
	return d.sub.IncludeResourceData != nil && *d.sub.IncludeResourceData
}

// required asks for what contract 1.21b calls not nullable.
func required(d *draft) error {
	for _, p := range []struct{ name, value string }{
		{"changeType", d.sub.ChangeTypeText},
		{"notificationUrl", d.sub.NotificationURL},
		{"resource", d.sub.Resource},
		{"expirationDateTime", d.expires},
	} {
		if strings.TrimSpace(p.value) == "" {
			return d.refuse("create.required", "property", p.name)
		}
	}
	return nil
}

func notificationURL(d *draft) error { return d.url("notificationUrl", d.sub.NotificationURL) }

func lifecycleURL(d *draft) error {
	if d.sub.LifecycleNotificationURL == "" {
		return nil
	}
	return d.url("lifecycleNotificationUrl", d.sub.LifecycleNotificationURL)
}

// url asks for an address that calls may go to. Graph's other channels are told apart by their form (contract
// 12.1.4) and refused by name: a client that was written for them learns that it is not its spelling.
func (d *draft) url(property, raw string) error {
	lower := strings.ToLower(raw)
	switch {
	case strings.HasPrefix(lower, "eventhub:"):
		return d.refuse("create.url.eventhub", "url", raw)
	case strings.HasPrefix(lower, "eventgrid:"):
		return d.refuse("create.url.eventgrid", "url", raw)
	}
	if err := d.checkURL(raw); err != nil {
		return d.refuse("create.url", "property", property, "reason", err.Error())
	}
	if isPushService(lower) {
		return d.refuse("create.url.webpush", "property", property)
	}
	return nil
}

// isPushService reports whether a URL is a browser's push endpoint (contract 12.3.1).
func isPushService(lower string) bool {
	host, _, _ := strings.Cut(strings.TrimPrefix(lower, "https://"), "/")
	host, _, _ = strings.Cut(host, ":")
	return host == "fcm.googleapis.com" || host == "updates.push.services.mozilla.com" || strings.HasSuffix(host, ".push.apple.com")
}

// webPush refuses the keys of a push endpoint on what is none (contract 12.3.1, 5.25).
func webPush(d *draft) error {
	if d.webPush {
		return d.refuse("create.webpush")
	}
	return nil
}

func changeType(d *draft) error {
	types, ok := heliograph.ParseChangeType(d.sub.ChangeTypeText)
	if !ok {
		return d.refuse("create.change_type", "change_type", d.sub.ChangeTypeText)
	}
	d.sub.ChangeType = types
	return nil
}

// resource finds the row. A drive's root is in two: which one is meant depends on the caller. To the strict, a row
// that only /beta documents is not there on /v1.0; clients do subscribe to it there, and Graph's pages disagree.
func resource(d *draft) error {
	found, err := d.catalog.Resolve(d.sub.Resource, catalog.MeOf(d.caller))
	if err != nil {
		return err
	}
	d.resolved = catalog.Pick(found, d.caller)
	if d.strict && !d.beta && !slices.Contains(d.resolved.Row.APIVersions, "v1.0") {
		return d.refuse("create.resource.unknown")
	}
	d.sub.Path, d.sub.Row = d.resolved.Path, d.resolved.Row.ID
	return nil
}

// inCloud asks for a resource, and for a caller, that the played cloud has (contract 20.5 to 20.8).
func inCloud(d *draft) error {
	cloud := d.catalog.Cloud()
	switch {
	case !cloud.Has(d.resolved.Row):
		return d.refuse("create.resource.cloud")
	case d.caller.Personal && !cloud.Personal:
		return d.refuse("create.permission.cloud")
	}
	return nil
}

// changeTypeOfResource asks for types that the resource raises (contract 3.2.5), and names those it does not.
func changeTypeOfResource(d *draft) error {
	if wrong := d.sub.ChangeType &^ d.resolved.ChangeTypes; wrong != 0 {
		return d.refuse("create.change_type", "change_type", wrong.String())
	}
	return nil
}

// permission asks for one of the row's permissions of the token's kind (contract 3.2.1, 7.1), and names those
// that would have sufficed (contract 5.30).
func permission(d *draft) error {
	ok, sufficient := d.resolved.Row.Permits(d.caller, &d.resolved, d.strict)
	if ok {
		return nil
	}
	kind, what, present := "application", "role", "Roles"
	if d.caller.Delegated {
		kind, what, present = "delegated (work or school account)", "scope", "Scopes"
	}
	if d.caller.Personal {
		kind = "delegated (personal Microsoft account)"
	}
	if len(sufficient) == 0 {
		return d.refuse("create.permission.kind", "kind", kind, "resource", d.resolved.Path)
	}
	return d.refuse("create.permission", "what", what, "required", strings.Join(sufficient, ","),
		"whats", present, "present", strings.Join(d.caller.Permissions(), ","))
}

// ownMailbox keeps a signed-in user to the own mailbox (contract 3.2.8): whatever was shared with it takes an
// application's permission.
func ownMailbox(d *draft) error {
	if !d.caller.Delegated || !d.resolved.Row.DelegatedOwnOnly {
		return nil
	}
	if user, _ := d.resolved.Param("user"); !strings.EqualFold(user, string(d.caller.Object)) {
		return d.refuse("create.mailbox")
	}
	return nil
}

// clientState bounds the property in characters (contract 1.7).
func clientState(d *draft) error {
	if utf8.RuneCountInString(d.sub.ClientState.Reveal()) > d.profile.ClientStateMax {
		return d.refuse("create.client_state")
	}
	return nil
}

// tlsVersion takes the four values (contract 1.13) and fills in the default.
func tlsVersion(d *draft) error {
	switch d.sub.LatestSupportedTLSVersion {
	case "":
		d.sub.LatestSupportedTLSVersion = "v1_2"
	case "v1_0", "v1_1", "v1_2", "v1_3":
	default:
		return d.refuse("create.tls_version")
	}
	return nil
}

// somethingToUpdate asks a PATCH for one of the two properties that it is for (contract 5.41); a certificate
// comes beside them, together with its id (contract 7.5), so that no item names the wrong one.
func somethingToUpdate(d *draft) error {
	u := &d.update
	if u.ExpirationDateTime == nil && u.NotificationURL == nil {
		return d.refuse("update.nothing")
	}
	if (u.EncryptionCertificate == nil) != (u.EncryptionCertificateID == nil) {
		return d.refuse("update.certificate.pair")
	}
	return nil
}
