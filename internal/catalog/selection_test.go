package catalog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/odata"
)

// Of each row's documentation: what it takes, and at which character what it does not is refused (contract 18.6, 18.8, 18.9).
func TestSelection(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, test := range []struct {
		resource, options string
		want              string // canonical
		entering          bool
		wrong             string // attribute, option
		at                int    // character of the attribute
	}{
		{resource: "me/messages"},
		{resource: "me/messages?$select=subject,from"},
		{
			resource: "me/mailfolders('Drafts')/messages?$select=Subject,bodyPreview&$filter=hasAttachments eq true AND importance eq 'High'",
			want:     "$filter=hasAttachments eq true and importance eq 'High'", entering: true,
		},
		{resource: "me/messages?$filter=isRead%20eq+false", want: "$filter=isRead eq false", entering: true},
		{resource: "me/messages?filter=isRead", want: "$filter=isRead", entering: true},
		{resource: "me/events?$filter=start/dateTime ge '2026-01-01'", want: "$filter=start/dateTime ge '2026-01-01'", entering: true},
		{resource: "teams/t/channels/c/messages?$search=Hello", want: `&$search="Hello"`},
		{
			resource: "chats/x/messages?$filter=mentions/any(u: u/mentioned/user/id eq '1')&$search=%22big deal%22",
			want:     `$filter=mentions/any(u: u/mentioned/user/id eq '1')&$search="big deal"`,
		},
		{resource: "security/alerts?$filter=status eq 'New'", want: "$filter=status eq 'New'"},
		{
			resource: "appCatalogs/teamsApps/a/installations?$filter=(scopeInfo/scope eq 'personal') or (scopeInfo/scope eq 'team')",
			want:     "$filter=scopeInfo/scope eq 'personal' or scopeInfo/scope eq 'team'",
		},
		{
			resource: "copilot/interactionHistory/getAllEnterpriseInteractions?$filter=conversationType ne 'bizchat'",
			want:     "$filter=conversationType ne 'bizchat'",
		},
		{resource: "communications/presences?$filter=id in ('a','b')"}, // keys are no condition
		{resource: "communications/callRecords?$filter=type eq 'groupCall'", want: "$filter=type eq 'groupCall'"},
		{resource: "print/printers/p/jobs", options: "$filter = isFetchable eq true", want: "$filter=isFetchable eq true"},
		{resource: "reports/healthmonitoring/alerts", options: "?$filter=alertType eq 'x'", want: "$filter=alertType eq 'x'"},
		{resource: "chats/getAllMessages?model=A"},
		{resource: "me/messages", options: "$filter=x"}, // not there: another rule refuses it

		{resource: "me/messages?$filter=isRead eq", wrong: "resource $filter", at: 30},
		{resource: "me/messages?$filter=isRead%20eq%20now()", wrong: "resource $filter", at: 35},
		{resource: "me/messages?$filter=a eq 1%2", wrong: "resource $filter", at: 27},
		{resource: "me/messages?$select=a,,b", wrong: "resource $select", at: 23},
		{resource: "me/messages?$search=x", wrong: "resource $search", at: 21},
		{resource: "chats/x/messages?$filter=from/user/id eq '1'", wrong: "resource $filter", at: 26},
		{resource: "chats/x/messages?$filter=mentionsOfOthers/any()", wrong: "resource $filter", at: 26},
		{resource: "chats/x/messages?$search=a OR b", wrong: "resource $search", at: 28},
		{resource: "appCatalogs/teamsApps/a/installations?$filter=scopeInfo/scope ne 'team'", wrong: "resource $filter", at: 63},
		{resource: "copilot/interactionHistory/getAllEnterpriseInteractions?$filter=from/user eq '1'", wrong: "resource $filter", at: 65},
		{resource: "users?$filter=displayName eq 'x'", wrong: "resource $filter", at: 15},
		{resource: "print/printers/p/jobs", options: "$filter=status eq 'x'", wrong: "notificationQueryOptions $filter", at: 9},
		{resource: "print/printers/p/jobs", options: "$top=5", wrong: "notificationQueryOptions $top", at: 6},
		{resource: "print/printers/p/jobs", options: "&$filter=a&$filter=b", wrong: "notificationQueryOptions query options", at: 12},
		{resource: "print/printers/p/jobs?$filter=isFetchable eq true", wrong: "resource $filter", at: 31},
	} {
		name := test.resource + " " + test.options
		found, err := c.Resolve(test.resource, catalog.Me{Object: "a"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s, err := found[0].Row.Selection(found[0].Query, test.options)
		if test.wrong != "" {
			var wrong *catalog.OptionError
			var syntax *odata.SyntaxError
			if !errors.As(err, &wrong) || !errors.As(err, &syntax) || wrong.Attribute+" "+wrong.Option != test.wrong || syntax.Pos != test.at-1 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || s.String() != test.want || s.Decides() != (test.want != "") || s.Entering != test.entering {
			t.Errorf("%s: %+v, %v", name, s, err)
			continue
		}
		stored := &heliograph.Subscription{Resource: test.resource, NotificationQueryOptions: test.options}
		again, err := found[0].Row.SelectionOf(stored)
		if err != nil || again.Decides() != s.Decides() || again.Decides() && again.String() != s.String() {
			t.Errorf("%s: stored it is %v, %v", name, again, err)
		}
	}
}

func TestSelectionMatches(t *testing.T) {
	t.Parallel()
	c := load(t)
	found, err := c.Resolve("chats/x/messages?$filter=mentions/any(u: u/mentioned/user/id eq '1')&$search=deal", catalog.Me{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := found[0].Row.Selection(found[0].Query, "")
	if err != nil {
		t.Fatal(err)
	}
	for message, want := range map[string]bool{
		`{"body":{"content":"A DEAL"},"mentions":[{"mentioned":{"user":{"id":"1"}}}]}`: true,
		`{"body":{"content":"A DEAL"},"mentions":[{"mentioned":{"user":{"id":"2"}}}]}`: false,
		`{"body":{"content":"Hello"},"mentions":[{"mentioned":{"user":{"id":"1"}}}]}`:  false,
		``: false,
	} {
		if s.Match([]byte(message)) != want {
			t.Errorf("%s: %t", message, !want)
		}
	}
	if got := fmt.Sprint(s.Select); got != "[]" {
		t.Errorf("%s", got)
	}
	if !(&catalog.Selection{}).Match(nil) || (*catalog.Selection)(nil).Decides() {
		t.Error("a selection without conditions keeps something back")
	}
}

// A permission for some installations is none for others, whatever the filter looks like.
func TestFilterDoesNotReachBeyondPermission(t *testing.T) {
	t.Parallel()
	c := load(t)
	caller := &heliograph.Caller{Roles: []string{"TeamsAppInstallation.ReadForUser.All"}}
	for filter, want := range map[string]bool{
		"scopeInfo/scope eq 'personal'":                                   true,
		"scopeInfo/scope in ('Personal')":                                 true,
		"scopeInfo/scope ne 'personal'":                                   false,
		"scopeInfo/scope eq 'personal' or true":                           false,
		"scopeInfo/scope eq 'personal' or 'personal' eq 'personal'":       false,
		"scopeInfo/scope eq 'personal' or scopeInfo/scope eq null":        false,
		"scopeInfo/scope eq 'personal' or scopeInfo/scope in ('x')":       false,
		"scopeInfo/scope eq scopeInfo/scope or 'personal' eq 'personal' ": false,
	} {
		found, err := c.Resolve("appCatalogs/teamsApps/a/installations?$filter="+filter, catalog.Me{})
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := found[0].Row.Permits(caller, &found[0], false); ok != want {
			t.Errorf("%s: permitted: %t", filter, ok)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]string{
		"{$filter: {rule: allowed, words: [eq, plus]}}": `"plus" is no word of a filter`,
		"{$search: {rule: allowed}}":                    "properties: missing",
	} {
		row := strings.Replace(ours, "permissions:", "query_options: "+options+"\n  permissions:", 1)
		_, err := catalog.Load(catalog.File{Name: "own.yaml", Data: []byte(row)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", options, err)
		}
	}
}
