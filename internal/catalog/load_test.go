package catalog_test

import (
	"strings"
	"testing"

	"heliograph.dev/internal/catalog"
)

// ours is an operator's row, complete and as short as can be.
const ours = `resources:
- id: ticket
  paths: [helpdesk/tickets, 'helpdesk/queues/{queue}/tickets']
  changes:
    - {path: 'helpdesk/queues/{queue}/tickets/{ticket}', resource: 'helpdesk/tickets/{ticket}', id: '{ticket}'}
  permissions: {application: [Ticket.Read.All]}
  change_types: [created, updated]
  max_expiration_minutes: {basic: 1440}
`

func TestOperatorAddsAndReplacesRows(t *testing.T) {
	t.Parallel()
	message := strings.NewReplacer("ticket\n", "message\n", "[helpdesk/tickets, ", "[", "1440", "99").Replace(ours)
	c := load(t, catalog.File{Name: "ours.yaml", Data: []byte(ours)}, catalog.File{Name: "theirs.yaml", Data: []byte(strings.ReplaceAll(message, "helpdesk", "theirs"))},
		catalog.File{Name: "empty.yaml"})
	if len(c.Rows()) != 66 {
		t.Errorf("%d rows", len(c.Rows()))
	}
	found, err := c.Resolve("/Helpdesk/Queues('Q1')/Tickets", catalog.Me{})
	if err != nil || found[0].Row.ID != "ticket" || found[0].Path != "helpdesk/queues/Q1/tickets" {
		t.Errorf("%+v, %v", found, err)
	}
	paths, instance := watchers(c, c.Row("ticket"), "helpdesk/queues/Q1/tickets/7")
	if len(paths) != 2 || instance.Resource("", false) != "helpdesk/tickets/7" || instance.ODataType(false) != "" {
		t.Errorf("%q, %+v", paths, instance)
	}
	if c.Row("message").MaxBasic.Minutes() != 99 {
		t.Error("message was not replaced")
	}
	if _, err := c.Resolve("users/u/messages", catalog.Me{}); err == nil {
		t.Error("the replaced row still resolves")
	}
}

// Every mistake is named by file, row and field.
func TestLoadNamesMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, to, want string }{
		{"id: ticket", "idd: ticket", "ours.yaml: yaml: unmarshal errors:\n  line 2: field idd not found"},
		{"id: ticket", "id: ''", "ours.yaml: row number 1: id: missing"},
		{"created, updated]", "made]", `row ticket: change_types: ["made"]`},
		{"[created, updated]", "[]", "row ticket: change_types: none"},
		{"{basic: 1440}", "{rich: 1440}", "row ticket: max_expiration_minutes: basic: missing"},
		{"{basic: 1440}", "{basic: 1, rich: 1}", "row ticket: max_expiration_minutes: rich: is there exactly when"},
		{"{basic: 1440}", "many", "ours.yaml: yaml: unmarshal errors:\n  line 8"},
		{"[Ticket.Read.All]", "[]", "row ticket: permissions: nobody could ever subscribe"},
		{"[Ticket.Read.All]", "[A], application_rsc: [B]", "row ticket: permissions: application_rsc: B is not"},
		{"[Ticket.Read.All]", "[A], rsc: [B]", "row ticket: permissions: rsc belongs to"},
		{"[helpdesk/tickets, ", "['helpdesk/tick{ets}', ", "row ticket: paths[0]: \"helpdesk/tick{ets}\": a parameter is a whole segment"},
		{"[helpdesk/tickets, ", "['helpdesk//tickets', ", "row ticket: paths[0]: \"helpdesk//tickets\": empty segment at character 10"},
		{"[helpdesk/tickets, ", "['helpdesk/{rest...}', ", "row ticket: paths[0]: \"helpdesk/{rest...}\": the rest of a path is for changes only"},
		{"[helpdesk/tickets, ", "['{a}/{b}/{c}/{d}/{e}/{f}/{g}', ", "more than 6 parameters"},
		{"[helpdesk/tickets, ", "['a/{b}/c/{b}', ", "the parameter {b} twice"},
		{"[helpdesk/tickets, ", "['a?$top=1', ", "the only query option"},
		{"[helpdesk/tickets, ", "['f(a=[''{b}'',''{c}''])', ", "the argument a must be one parameter"},
		{"[helpdesk/tickets, ", "['f(a=[''{b}''],c=[''{d}''])', ", "more than one list"},
		{"[helpdesk/tickets, ", "['helpdesk/tickets?$filter=id in (''{x}'')', ", "is not a path of the row"},
		{"[helpdesk/tickets, ", "[helpdesk/tickets, helpdesk/tickets, ", "row ticket: paths[1]: twice"},
		{"[helpdesk/tickets, ", "[users, ", "row ticket: paths: users is also a path of row user for application callers"},
		{"[helpdesk/tickets, ", "['helpdesk/other/{x}', ", "row ticket: changes: none reaches helpdesk/other/{x}"},
		{"  paths: [helpdesk/tickets, 'helpdesk/queues/{queue}/tickets']\n", "", "row ticket: paths: none"},
		{"'helpdesk/queues/{queue}/tickets']", "'users/{person}/tickets']", "row ticket: paths[1]: {person} is called {user} in other rows"},
		{"path: 'helpdesk/queues/{queue}/tickets/{ticket}'", "path: 'users/{person}/tickets/{ticket}'", "changes[0]: path: {person} is called {user}"},
		{"path: 'helpdesk/queues/{queue}/tickets/{ticket}'", "path: 'helpdesk/{rest...}/x'", "changes[0]: path: \"helpdesk/{rest...}/x\": {rest} must be the last"},
		{"resource: 'helpdesk/tickets/{ticket}'", "resource: 'helpdesk/{other}'", "row ticket: changes[0]: resource: {other} is not a parameter"},
		{"resource: 'helpdesk/tickets/{ticket}'", "resource: 'helpdesk/{other'", "row ticket: changes[0]: resource: { without }"},
		{"resource: 'helpdesk/tickets/{ticket}', ", "", "row ticket: changes[0]: resource: missing"},
		{"id: '{ticket}'", "id: '{subscription}'", "row ticket: changes[0]: id: names no instance"},
		{"id: '{ticket}'", "to: [nowhere]", "row ticket: changes[0]: to: \"nowhere\" is not a path of the row"},
		{"id: '{ticket}'", "told_as: {created: [deleted]}", "row ticket: changes[0]: told_as: created: the row has no change type deleted"},
		{"path: 'helpdesk/queues/{queue}/tickets/{ticket}'", "to: ['helpdesk/queues/{queue}/tickets'], path: 'helpdesk/all/{ticket}'", "changes[0]: to: helpdesk/queues/{queue}/tickets: {queue} is not a parameter"},
		{"  permissions", "  by_path: {nowhere: {}}\n  permissions", "row ticket: by_path: nowhere: not a path of the row"},
		{"  permissions", "  by_path: {helpdesk/tickets: {callers: [me], change_types: [deleted]}}\n  permissions", "callers: \"me\""},
		{"  permissions", "  by_path: {helpdesk/tickets: {change_types: [deleted]}}\n  permissions", "change_types: more than the row's"},
		{"  permissions", "  path_aliases: ['helpdesk/{x}']\n  permissions", "row ticket: path_aliases[0]: no path of the row has the same parameters"},
		{"  permissions", "  quotas: [{limit: 1, rule: create.quota.nonsense}]\n  permissions", "row ticket: quotas[0]: rule: the profile has no rule"},
		{"  permissions", "  quotas: [{limit: -1}]\n  permissions", "row ticket: quotas[0]: limit: -1"},
		{"  permissions", "  query_options: {$top: {rule: perhaps}}\n  permissions", "row ticket: query_options: $top: \"perhaps\" is not one of"},
		{"  permissions", "  lifecycle_events: [forgotten]\n  permissions", "row ticket: lifecycle_events: \"forgotten\" is not known"},
		{"  permissions", "  extras: [colour]\n  permissions", "row ticket: extras: \"colour\" is not one of"},
		{"  permissions", "  status: new\n  permissions", "row ticket: status: \"new\" is not one of"},
		{"  permissions", "  national_clouds: {moon: 'yes'}\n  permissions", "row ticket: national_clouds: \"moon\""},
		{"  permissions", "  national_clouds: {china: perhaps}\n  permissions", "row ticket: national_clouds: china: \"perhaps\""},
		{"resources:", "parameters: {queue: {form: odd}}\nresources:", "ours.yaml: parameters: queue: form \"odd\""},
		{"resources:", "resources:\n- {id: ticket}", "row ticket: id: twice in one file"},
	} {
		text := strings.Replace(ours, tt.from, tt.to, 1)
		if text == ours {
			t.Fatalf("nothing to replace: %s", tt.from)
		}
		_, err := catalog.Load(catalog.File{Name: "ours.yaml", Data: []byte(text)})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "ours.yaml") {
			t.Errorf("%s → %s: error %v\nwant %s", tt.from, tt.to, err, tt.want)
		}
	}
}

func TestLoadTellsAFewOfManyMistakes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("resources:\n")
	for range 30 {
		b.WriteString("- family: x\n")
	}
	_, err := catalog.Load(catalog.File{Name: "ours.yaml", Data: []byte(b.String())})
	if err == nil || strings.Count(err.Error(), "\n") != 20 || !strings.Contains(err.Error(), "and 10 more") {
		t.Errorf("error %v", err)
	}
}
