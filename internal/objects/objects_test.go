package objects_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/objects"
)

const (
	tenant = heliograph.TenantID("84bd8158-6d4d-4958-8b9f-9d6445542f95")
	other  = heliograph.TenantID("11111111-2222-4333-8444-555555555555")
)

// world is a store and the log that it is folded from.
type world struct {
	*objects.Store
	t        *testing.T
	rows     *catalog.Catalog
	sequence uint64
	log      []heliograph.Frame
}

func newWorld(t *testing.T, change ...func(*objects.Options)) *world {
	t.Helper()
	rows, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	o := objects.Options{
		Catalog: rows, MaxObjects: 1000, MaxBytes: 1 << 20, Key: []byte("key"),
		OtherName: func(_ heliograph.TenantID, user string) string {
			return map[string]string{"demo": "oid-1", "oid-1": "demo"}[user]
		},
	}
	for _, c := range change {
		c(&o)
	}
	return &world{Store: objects.New(o), t: t, rows: rows}
}

// change folds a frame with one change. data is empty or JSON; paths are further ones.
func (w *world) change(what heliograph.ChangeType, resource, data string, paths ...string) {
	w.t.Helper()
	c := heliograph.Change{ID: heliograph.NewGUID(), Tenant: tenant, Type: what, Data: []byte(data)}
	for i, path := range append([]string{resource}, paths...) {
		canonical, err := w.rows.CanonicalChange(path)
		if err != nil {
			w.t.Fatal(err)
		}
		if i == 0 {
			c.Resource = canonical
		} else {
			c.Paths = append(c.Paths, canonical)
		}
	}
	w.fold(c)
}

func (w *world) fold(changes ...heliograph.Change) {
	w.sequence++
	f := heliograph.Frame{Sequence: w.sequence, Changes: changes}
	w.log = append(w.log, f)
	w.Apply(&f)
}

// application is a caller with every permission that is named.
func application(roles ...string) *heliograph.Caller {
	return &heliograph.Caller{Tenant: tenant, App: "app", Roles: roles}
}

func user(object, upn string, scopes ...string) *heliograph.Caller {
	return &heliograph.Caller{Tenant: tenant, App: "app", Delegated: true, Object: heliograph.ObjectID(object), UPN: upn, Scopes: scopes}
}

func mail() *heliograph.Caller { return application("Mail.Read") }

// read asks for a path with options such as $top=1&$filter=… that are not encoded.
func (w *world) read(caller *heliograph.Caller, address string) (objects.Answer, error) {
	path, options, _ := strings.Cut(address, "?")
	r := objects.Request{Caller: caller, Path: path, Root: "https://g/v1.0", Options: map[string]string{}}
	for option := range strings.SplitSeq(options, "&") {
		if name, value, found := strings.Cut(option, "="); found {
			r.Options[name] = value
		}
	}
	return w.Read(r)
}

func (w *world) get(caller *heliograph.Caller, address string) objects.Answer {
	w.t.Helper()
	a, err := w.read(caller, address)
	if err != nil || !a.Known {
		w.t.Fatalf("%s: known %v, %v", address, a.Known, err)
	}
	return a
}

// ids shows a collection: the ids, a minus before those that are removed.
func ids(t *testing.T, a objects.Answer) string {
	t.Helper()
	var all []string
	for _, raw := range a.Values {
		var o map[string]any
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint(o["id"])
		if o["@removed"] != nil || o["deleted"] != nil {
			id = "-" + id
		}
		all = append(all, id)
	}
	return strings.Join(all, " ")
}

func TestEveryNameOfAnObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(heliograph.Created, "users/demo/messages/AbC=", `{"id":"AbC=","subject":"Hi"}`, "users/demo/mailFolders/inbox/messages/AbC=")
	for path, caller := range map[string]*heliograph.Caller{
		"users/demo/messages/AbC=":                         mail(),
		"Users/demo/Messages/AbC=":                         mail(),
		"users('demo')/messages('AbC=')":                   mail(),
		"users/oid-1/messages/AbC=":                        mail(),
		"users/demo/mailFolders/inbox/messages/AbC=":       mail(),
		"users/demo/mailFolders('Inbox')/messages('AbC=')": mail(),
		"me/messages/AbC=":                                 user("oid-1", "demo", "Mail.Read"),
		"ME/Messages('AbC=')":                              user("oid-1", "demo", "Mail.Read"),
	} {
		if a := w.get(caller, path); !strings.Contains(string(a.Object), `"subject":"Hi"`) {
			t.Errorf("%s: %s", path, a.Object)
		}
	}
	want := `{"@odata.context":"https://g/v1.0/$metadata#users('demo')/messages/$entity","@odata.etag":"W/\"1.0\"","id":"AbC=","subject":"Hi"}`
	if got := w.get(mail(), "users/demo/messages/AbC="); string(got.Object) != want {
		t.Errorf("%s", got.Object)
	}
	want = `{"@odata.context":"https://g/v1.0/$metadata#users('demo')/messages(subject)/$entity","@odata.etag":"W/\"1.0\"","id":"AbC=","subject":"Hi"}`
	if got := w.get(mail(), "users/demo/messages/AbC=?$select=subject"); string(got.Object) != want {
		t.Errorf("%s", got.Object)
	}
	for _, list := range []string{"users/demo/messages", "users/demo/mailFolders/inbox/messages", "users/oid-1/messages"} {
		if got := ids(t, w.get(mail(), list)); got != "AbC=" {
			t.Errorf("%s: %s", list, got)
		}
	}
	if got := w.get(mail(), "users/demo/messages/$count"); got.Number == nil || *got.Number != 1 {
		t.Errorf("%+v", got)
	}
}

func TestWhoMayRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(heliograph.Created, "users/demo/messages/m1", `{"id":"m1"}`)
	foreign := mail()
	foreign.Tenant = other
	for name, test := range map[string]struct {
		caller *heliograph.Caller
		path   string
		kind   heliograph.Kind
		code   string
	}{
		"no permission":     {application("Calendars.Read"), "users/demo/messages/m1", heliograph.Denied, "ErrorAccessDenied"},
		"nor for the list":  {application("Calendars.Read"), "users/demo/messages", heliograph.Denied, "ErrorAccessDenied"},
		"somebody else's":   {user("oid-2", "two", "Mail.Read"), "users/demo/messages/m1", heliograph.Denied, "ErrorAccessDenied"},
		"not there":         {mail(), "users/demo/messages/M1", heliograph.NotFound, "ErrorItemNotFound"},
		"of another tenant": {foreign, "users/demo/messages/m1", heliograph.NotFound, "ErrorItemNotFound"},
		"a group":           {application("Group.Read.All"), "groups/g1", heliograph.NotFound, "Request_ResourceNotFound"},
		"a file":            {application("Files.ReadWrite.All"), "drives/d/items/1", heliograph.NotFound, "itemNotFound"},
		"a chat":            {application("Chat.ReadBasic.All"), "chats/c", heliograph.NotFound, "NotFound"},
	} {
		_, err := w.read(test.caller, test.path)
		e, ok := errors.AsType[*heliograph.Error](err)
		if !ok || e.Kind != test.kind || e.Code != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{"nothing/like/it", "users/demo/calendars", "users/demo/messages/m1/children"} {
		if a, err := w.read(mail(), path); a.Known || err != nil {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	for _, path := range []string{"me", "me/messages", "ME/messages/m1"} {
		if _, err := w.read(mail(), path); heliograph.KindOf(err) != heliograph.Invalid || !strings.HasPrefix(err.Error(), "/me request is only valid") {
			t.Errorf("%s: %v", path, err)
		}
	}
	w.change(heliograph.Updated, "users/oid-1", `{"id":"oid-1"}`)
	if a := w.get(user("oid-1", "demo", "User.Read.All"), "me"); !strings.Contains(string(a.Object), "oid-1") {
		t.Errorf("%s", a.Object)
	}
	if got := ids(t, w.get(foreign, "users/demo/messages")); got != "" {
		t.Errorf("another tenant sees %s", got)
	}
}

// fill makes messages m01 to mNN.
func (w *world) fill(n int) {
	for i := 1; i <= n; i++ {
		w.change(heliograph.Created, fmt.Sprintf("users/demo/messages/m%02d", i), fmt.Sprintf(`{"id":"m%02d","n":%d,"odd":%v,"from":{"name":"N%d"}}`, i, i, i%2 == 1, 100-i))
	}
}

func TestCollections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(6)
	w.change(heliograph.Updated, "users/demo/messages/m02", `{"id":"m02","n":20,"odd":false}`)
	w.change(heliograph.Deleted, "users/demo/messages/m04", "")
	for options, want := range map[string]string{
		"":                            "m01 m02 m03 m05 m06",
		"$top=2":                      "m01 m02",
		"$top=2&$skip=3":              "m05 m06",
		"$skip=9":                     "",
		"$filter=odd eq true":         "m01 m03 m05",
		"$filter=n gt 4&$top=1":       "m02",
		"$orderby=n desc":             "m02 m06 m05 m03 m01",
		"$orderby=odd,n desc":         "m02 m06 m05 m03 m01",
		"$orderby=from/name&$top=3":   "m02 m06 m05",
		"$orderby=id desc&$select=id": "m06 m05 m03 m02 m01",
	} {
		if got := ids(t, w.get(mail(), "users/demo/messages?"+options)); got != want {
			t.Errorf("%s: %s, want %s", options, got, want)
		}
	}
	a := w.get(mail(), "users/demo/messages?$count=true&$top=1&$filter=odd eq true")
	if a.Count == nil || *a.Count != 3 || a.Context != "https://g/v1.0/$metadata#users('demo')/messages" {
		t.Errorf("%+v", a)
	}
	for _, options := range []string{
		"$top=0", "$top=1000", "$top=x", "$skip=-1", "$count=maybe", "$filter=odd eq", "$orderby=a b c", "$orderby=", "$search=x", "$skiptoken=x",
		"$apply=x",
	} {
		_, err := w.read(mail(), "users/demo/messages?"+options)
		if e, ok := errors.AsType[*heliograph.Error](err); !ok || e.Kind != heliograph.Invalid || e.Code != "BadRequest" {
			t.Errorf("%s: %v", options, err)
		}
	}
}

// Pages stay right while objects come and go; tokens are for one collection and cannot be made up.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"", "&$orderby=n"} {
		w := newWorld(t)
		w.fill(5)
		w.change(heliograph.Created, "users/two/messages/x", `{"id":"x"}`)
		first := w.get(mail(), "users/demo/messages?$top=2"+order)
		if order == "" {
			w.change(heliograph.Deleted, "users/demo/messages/m01", "")
		}
		w.change(heliograph.Created, "users/demo/messages/m06", `{"id":"m06","n":6}`)
		second := w.get(mail(), "users/demo/messages?$top=2"+order+"&$skiptoken="+first.Skip)
		third := w.get(mail(), "users/demo/messages?$top=2"+order+"&$skiptoken="+second.Skip)
		if got := ids(t, first) + "|" + ids(t, second) + "|" + ids(t, third); got != "m01 m02|m03 m04|m05 m06" || third.Skip != "" {
			t.Errorf("%q: %s", order, got)
		}
		for _, address := range []string{
			"users/two/messages?$skiptoken=" + first.Skip, "users/demo/messages/delta?$skiptoken=" + first.Skip, "users/demo/messages?$skiptoken=B" + first.Skip[1:],
			"users/demo/messages/delta?$deltatoken=" + first.Skip, "users/demo/messages?$skiptoken=",
		} {
			if a, err := w.read(mail(), address); err == nil && !strings.HasSuffix(address, "=") {
				t.Errorf("%s: %s", address, ids(t, a))
			}
		}
	}
}

func TestDelta(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(3)
	w.change(heliograph.Deleted, "users/demo/messages/m01", "")
	list := "users/demo/messages/delta"
	if got := ids(t, w.get(mail(), list+"?$deltatoken=latest")); got != "" {
		t.Errorf("latest: %s", got)
	}
	first := w.get(mail(), list+"?$top=1")
	w.change(heliograph.Deleted, "users/demo/messages/m02", "") // was told already
	w.change(heliograph.Created, "users/demo/messages/m04", `{"id":"m04"}`)
	second := w.get(mail(), list+"?$top=1&$skiptoken="+first.Skip)
	third := w.get(mail(), list+"?$top=1&$skiptoken="+second.Skip)
	if got := ids(t, first) + "|" + ids(t, second) + "|" + ids(t, third); got != "m02|m03|m04" || first.Delta != "" || third.Delta == "" {
		t.Errorf("%s", got)
	}
	next := w.get(mail(), list+"?$deltatoken="+third.Delta)
	if got := ids(t, next); got != "-m02 m04" {
		t.Errorf("what happened during the first round: %s", got)
	}
	w.change(heliograph.Updated, "users/demo/messages/m03", `{"id":"m03"}`)
	w.change(heliograph.Deleted, "users/demo/messages/m04", "")
	w.change(heliograph.Created, "users/two/messages/x", `{"id":"x"}`)
	for range 2 { // a token may be used again
		a := w.get(mail(), list+"?$top=1&$deltatoken="+next.Delta)
		b := w.get(mail(), list+"?$top=1&$skiptoken="+a.Skip)
		if got := ids(t, a) + "|" + ids(t, b); got != "m03|-m04" || b.Delta == "" {
			t.Errorf("%s", got)
		}
	}
}

// A change without data says no less than before; what is deleted and comes back is there; what says of itself that it
// is deleted stays readable.
func TestDeletedAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(heliograph.Created, "users/demo/messages/m", `{"id":"m","subject":"Hi"}`)
	w.change(heliograph.Updated, "users/demo/messages/m", "")
	if a := w.get(mail(), "users/demo/messages/m"); !strings.Contains(string(a.Object), "Hi") {
		t.Errorf("%s", a.Object)
	}
	w.change(heliograph.Deleted, "users/demo/messages/m", "")
	if _, err := w.read(mail(), "users/demo/messages/m"); heliograph.KindOf(err) != heliograph.NotFound {
		t.Errorf("%v", err)
	}
	w.change(heliograph.Created, "users/demo/messages/m", "")
	if a := w.get(mail(), "users/demo/messages/m"); !strings.Contains(string(a.Object), `"id":"m"`) || strings.Contains(string(a.Object), "Hi") {
		t.Errorf("%s", a.Object)
	}
	reader := application("Chat.Read.All")
	w.change(heliograph.Deleted, "chats/c/messages/1", `{"id":"1","deletedDateTime":"2026-11-27T10:00:00Z"}`)
	if a := w.get(reader, "chats/c/messages/1"); !strings.Contains(string(a.Object), "deletedDateTime") {
		t.Errorf("%s", a.Object)
	}
	w.fold(heliograph.Change{Tenant: tenant, Type: heliograph.Updated, Notice: &heliograph.Notice{}}) // is no object
}

// A sync state is lost when something after it was dropped, when the log begins behind it, and when an operator says so.
func TestLostSyncState(t *testing.T) {
	t.Parallel()
	lost := func(w *world, address, code string) {
		t.Helper()
		_, err := w.read(application("Mail.Read", "Files.ReadWrite.All"), address)
		if e, ok := errors.AsType[*objects.LostError](err); !ok || e.Code != code {
			t.Errorf("%s: %v", address, err)
		}
	}
	const list = "users/demo/messages/delta"
	w := newWorld(t, func(o *objects.Options) { o.MaxObjects = 3 })
	w.fill(2)
	old := w.get(mail(), list).Delta
	w.change(heliograph.Updated, "users/demo/messages/m01", `{"id":"m01"}`)
	w.change(heliograph.Created, "users/demo/messages/m03", `{"id":"m03"}`)
	if got := ids(t, w.get(mail(), list+"?$deltatoken="+old)); got != "m01 m03" {
		t.Errorf("%s", got)
	}
	for i := range 3 {
		w.change(heliograph.Created, fmt.Sprintf("users/two/messages/x%d", i), `{}`)
	}
	lost(w, list+"?$deltatoken="+old, "syncStateNotFound")

	w = newWorld(t)
	w.fill(2)
	before := w.get(mail(), list).Delta
	w.Forget()
	lost(w, list+"?$deltatoken="+before, "syncStateNotFound")
	after := w.get(mail(), list)
	if got := ids(t, after); got != "m01 m02" {
		t.Errorf("%s", got)
	}
	if got := ids(t, w.get(mail(), list+"?$deltatoken="+after.Delta)); got != "" {
		t.Errorf("%s", got)
	}
	w.change(heliograph.Created, "users/demo/messages/m03", `{"id":"m03"}`)
	if got := ids(t, w.get(mail(), list+"?$deltatoken="+after.Delta)); got != "m03" {
		t.Errorf("%s", got)
	}

	// After a start, from a log that was cut, tokens are good as far back as the log goes.
	again := newWorld(t)
	again.Pass(2)
	for i := range w.log[2:] {
		again.Apply(&w.log[2+i])
	}
	if got := ids(t, again.get(mail(), list)); got != "m03" {
		t.Errorf("%s", got)
	}
	lost(again, list+"?$deltatoken="+before, "syncStateNotFound")

	files := application("Files.ReadWrite.All")
	w.change(heliograph.Created, "drives/d/items/1", `{"id":"1"}`)
	state := w.get(files, "drives/d/root/delta").Delta
	w.Forget()
	lost(w, "drives/d/root/delta?$deltatoken="+state, "resyncRequired")
}

// What has not changed for longest makes room, and the bounds hold.
func TestBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *objects.Options) { o.MaxBytes = 5000 })
	w.fill(50)
	list := strings.Fields(ids(t, w.get(mail(), "users/demo/messages")))
	if len(list) == 0 || len(list) > 12 || list[len(list)-1] != "m50" {
		t.Errorf("%v", list)
	}
}

// A drive's root is known by what changed below it; its items are deleted in their own way.
func TestDrives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := application("Files.ReadWrite.All")
	w.change(heliograph.Created, "users/demo/drive/root:/a/b.txt", `{"id":"1","name":"b.txt"}`)
	w.change(heliograph.Created, "drives/d/items/2", `{"id":"2"}`, "users/demo/drive/items/2")
	for path, want := range map[string]string{
		"users/demo/drive/root": `"root":{}`, "users/demo/drive/root:/a/b.txt": `"b.txt"`, "drives/d/items/2": `"id":"2"`, "drives/d/root": `"childCount":1`,
	} {
		if a := w.get(files, path); !strings.Contains(string(a.Object), want) {
			t.Errorf("%s: %s", path, a.Object)
		}
	}
	for path, want := range map[string]string{"users/demo/drive/root/children": "1 2", "users/demo/drive/root/delta": "1 2", "users/demo/drive/root/microsoft.graph.delta()": "1 2"} {
		if got := ids(t, w.get(files, path)); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	state := w.get(files, "drives/d/root/delta").Delta
	w.change(heliograph.Deleted, "drives/d/items/2", "")
	a := w.get(files, "drives/d/root/delta?$deltatoken="+state)
	if len(a.Values) != 1 || string(a.Values[0]) != `{"id":"2","deleted":{"state":"deleted"}}` {
		t.Errorf("%s", a.Values)
	}
}

// Who comes into a group changes the group, and is not the group; the functions over all chats list what is in any.
func TestOtherCollections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(heliograph.Created, "groups/g/members/u", `{"id":"u"}`)
	groups := application("GroupMember.Read.All", "Group.Read.All")
	if a := w.get(groups, "groups/g"); !strings.Contains(string(a.Object), `"id":"g"`) {
		t.Errorf("%s", a.Object)
	}
	if got := ids(t, w.get(groups, "groups/g/members")) + "|" + ids(t, w.get(groups, "groups")); got != "u|" {
		t.Errorf("%s", got)
	}
	chats := application("Chat.Read.All")
	w.change(heliograph.Created, "chats/c1/messages/1", `{"id":"1"}`, "users/demo/chats/c1/messages/1")
	w.change(heliograph.Created, "chats/c2/messages/2", `{"id":"2"}`)
	for path, want := range map[string]string{"chats/getAllMessages": "1 2", "users/demo/chats/getAllMessages": "1", "chats('c2')/messages": "2", "chats/getAllMessages/delta()": "1 2"} {
		if got := ids(t, w.get(chats, path)); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	w.fold(heliograph.Change{Tenant: tenant, Type: heliograph.Created, Resource: "users/demo/messages/old", ImmutableID: "stays"})
	if a := w.get(mail(), "users/demo/messages/stays"); len(a.Object) == 0 {
		t.Error("not known by its immutable id")
	}
}

func TestMetadataLevels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change(heliograph.Created, "users/demo/messages/m", `{"id":"m","@odata.etag":"W/\"own\"","a@odata.type":"#x","a":"<b>"}`)
	for level, want := range map[objects.Metadata]string{
		objects.None:    `{"id":"m","a":"<b>"}`,
		objects.Minimal: `{"@odata.context":"https://g/v1.0/$metadata#users('demo')/messages/$entity","id":"m","@odata.etag":"W/\"own\"","a@odata.type":"#x","a":"<b>"}`,
		objects.Full: `{"@odata.context":"https://g/v1.0/$metadata#users('demo')/messages/$entity","@odata.type":"#Microsoft.Graph.Message",` +
			`"@odata.id":"https://g/v1.0/users/demo/messages/m","id":"m","@odata.etag":"W/\"own\"","a@odata.type":"#x","a":"<b>"}`,
	} {
		a, err := w.Read(objects.Request{Caller: mail(), Path: "users/demo/messages/m", Root: "https://g/v1.0", Metadata: level})
		if err != nil || string(a.Object) != want {
			t.Errorf("%d: %s, %v", level, a.Object, err)
		}
	}
}
