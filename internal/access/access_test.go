package access_test

import (
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/access"
)

const (
	app   heliograph.AppID    = "app"
	ada   heliograph.ObjectID = "ada"
	other heliograph.ObjectID = "other"
)

func report(kind access.Kind, user heliograph.ObjectID, of heliograph.AppID, resource string) access.Report {
	return access.Report{Kind: kind, User: user, App: of, Resource: resource}
}

func TestReportsAreWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   access.Report
		rule string
	}{
		{"consent of an application", report(access.ConsentRevoked, "", app, ""), ""},
		{"consent of a user", report(access.ConsentRevoked, ada, app, ""), ""},
		{"consent to what", report(access.ConsentRevoked, ada, "", ""), access.RuleApp},
		{"consent to a resource", report(access.ConsentRevoked, "", app, "teams/1"), access.RuleResource},
		{"disabled", report(access.UserDisabled, ada, "", ""), ""},
		{"who is disabled", report(access.UserDisabled, "", "", ""), access.RuleUser},
		{"disabled for an application", report(access.UserDisabled, ada, app, ""), access.RuleApp},
		{"deleted", report(access.UserDeleted, ada, "", ""), ""},
		{"who is deleted", report(access.UserDeleted, "", "", ""), access.RuleUser},
		{"tenant", report(access.TenantDeleted, "", "", ""), ""},
		{"tenant of a user", report(access.TenantDeleted, ada, "", ""), access.RuleUser},
		{"membership", report(access.MembershipLost, ada, "", "/Teams/1/"), ""},
		{"whose membership", report(access.MembershipLost, "", "", "teams/1"), access.RuleUser},
		{"membership of what", report(access.MembershipLost, ada, "", ""), access.RuleResource},
		{"restored", report(access.Restored, "", "", ""), ""},
		{"whose membership is restored", report(access.Restored, "", "", "teams/1"), access.RuleUser},
		{"of no kind", report("expelled", ada, "", ""), access.RuleKind},
		{"of no kind at all", access.Report{}, access.RuleKind},
	} {
		got, err := tt.in.Normal()
		rule := ""
		if e, ok := err.(*heliograph.Error); ok { //nolint:errorlint // made there
			rule = e.Rule
		}
		if rule != tt.rule || err == nil && tt.in.Resource != "" && got.Resource != "teams/1" {
			t.Errorf("%s: %+v, %v; want %q", tt.name, got, err, tt.rule)
		}
	}
}

// TestWhomReportsSpeakOf holds what is done to subscriptions that are there against what is asked when one is made or
// renewed: who is concerned is barred too, and nobody else.
func TestWhomReportsSpeakOf(t *testing.T) { // contract 14.4, 14.9
	t.Parallel()
	subs := map[string]*heliograph.Subscription{
		"ada's mail":              {App: app, Creator: ada, Delegated: true, Path: "users/ada/messages"},
		"ada's channel":           {App: app, Creator: ada, Delegated: true, Path: "teams/1/channels/2/messages"},
		"ada's mail by a service": {App: app, Creator: "principal", Path: "users/ada/messages"},
		"another's channel":       {App: app, Creator: other, Delegated: true, Path: "teams/1/channels/2/messages"},
		"another app's":           {App: "elsewhere", Creator: ada, Delegated: true, Path: "teams/11/channels/2/messages"},
		"a service named ada":     {App: "elsewhere", Creator: ada, Path: "users/adalbert/messages"},
	}
	for _, tt := range []struct {
		report access.Report
		of     []string
	}{
		{report(access.ConsentRevoked, "", app, ""), []string{"ada's mail", "ada's channel", "ada's mail by a service", "another's channel"}},
		{report(access.ConsentRevoked, ada, app, ""), []string{"ada's mail", "ada's channel"}},
		{report(access.UserDisabled, ada, "", ""), []string{"ada's mail", "ada's channel", "another app's"}},
		{report(access.UserDeleted, ada, "", ""), []string{"ada's mail", "ada's channel", "another app's", "ada's mail by a service"}},
		{report(access.MembershipLost, ada, "", "teams/1"), []string{"ada's channel"}},
		{report(access.MembershipLost, ada, "", "teams/1/channels/2/messages"), []string{"ada's channel"}},
		{report(access.MembershipLost, ada, "", "teams/2"), nil},
		{report(access.TenantDeleted, "", "", ""), []string{"ada's mail", "ada's channel", "ada's mail by a service", "another's channel", "another app's", "a service named ada"}},
	} {
		want := make(map[string]bool)
		for _, name := range tt.of {
			want[name] = true
		}
		stands := access.Standing{tt.report: {}}
		for name, sub := range subs {
			caller := &heliograph.Caller{App: sub.App, Object: sub.Creator, Delegated: sub.Delegated}
			barred := stands.Bars(caller, sub.Path)
			if got := tt.report.Concerns(sub); got != want[name] || got != (barred != "") || got && barred != tt.report.Kind.Reason() {
				t.Errorf("%+v of %s: concerns it %v, bars %q; want %v", tt.report, name, got, barred, want[name])
			}
		}
	}
}

func TestRestoredUndoesWhatWasReported(t *testing.T) {
	t.Parallel()
	for _, r := range []access.Report{
		report(access.ConsentRevoked, "", app, ""), report(access.ConsentRevoked, ada, app, ""), report(access.UserDisabled, ada, "", ""),
		report(access.UserDeleted, ada, "", ""), report(access.TenantDeleted, "", "", ""), report(access.MembershipLost, ada, "", "teams/1"),
	} {
		restored := r
		restored.Kind = access.Restored
		restored, err := restored.Normal()
		if err != nil {
			t.Fatal(err)
		}
		stands := access.Standing{r: {}}
		for _, undone := range restored.Undone() {
			delete(stands, undone)
		}
		if len(stands) != 0 {
			t.Errorf("%+v stands though it was restored", r)
		}
	}
}
