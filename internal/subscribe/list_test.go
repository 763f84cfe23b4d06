package subscribe_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe"
)

// fill puts n subscriptions of a caller into the store without asking any endpoint, a second apart.
func (b *bench) fill(t *testing.T, c *heliograph.Caller, n int) []heliograph.SubscriptionID {
	t.Helper()
	ids := make([]heliograph.SubscriptionID, n)
	for i := range ids {
		s := b.created(t, c, func(r *subscribe.CreateRequest) {
			r.Resource = "me/mailFolders/" + guid() + "/messages"
			r.ExpirationDateTime = in(time.Duration(i)*time.Second + 24*time.Hour)
		})
		ids[i] = s.ID
		b.clock.Advance(time.Second)
	}
	return ids
}

func TestPages(t *testing.T) { // contract 6.2
	t.Parallel()
	b, _ := newMemoryBench(t)
	c := user("Mail.Read")
	want := b.fill(t, c, 250)
	var got []heliograph.SubscriptionID
	token, pages := "", 0
	for {
		list, err := b.service.List(t.Context(), c, subscribe.ListRequest{SkipToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Subscriptions {
			got = append(got, list.Subscriptions[i].ID)
		}
		if pages++; pages == 1 { // some go, one comes, between two pages
			for _, id := range []heliograph.SubscriptionID{want[50], want[99], want[150]} {
				if err := b.service.Delete(t.Context(), c, id); err != nil {
					t.Fatal(err)
				}
			}
			b.fill(t, c, 1)
		}
		if token = list.Next; token == "" {
			break
		}
	}
	if pages != 3 || len(got) != 250 { // less the one that went before its page, and the new one
		t.Errorf("%d pages with %d", pages, len(got))
	}
	want = slices.Delete(want, 150, 151)
	if !slices.Equal(got[:249], want) {
		t.Error("not each once, oldest first")
	}
}

func TestPageTokensAreSealed(t *testing.T) {
	t.Parallel()
	b, _ := newMemoryBench(t)
	c := user("Mail.Read")
	b.fill(t, c, 101)
	list, err := b.service.List(t.Context(), c, subscribe.ListRequest{})
	if err != nil || list.Next == "" {
		t.Fatalf("%q, %v", list.Next, err)
	}
	stranger := *c
	stranger.Object = "another"
	for name, try := range map[string]struct {
		caller *heliograph.Caller
		token  string
	}{
		"changed":   {c, "A" + list.Next[1:]},
		"cut":       {c, list.Next[:10]},
		"longer":    {c, list.Next + "AAAA"},
		"made up":   {c, strings.Repeat("A", len(list.Next))},
		"no base64": {c, "§"},
		"another's": {&stranger, list.Next},
	} {
		if try.token == list.Next && try.caller == c {
			continue
		}
		_, err := b.service.List(t.Context(), try.caller, subscribe.ListRequest{SkipToken: try.token})
		if got := refusal(t, err); got.Rule != "list.skiptoken" || got.Kind != heliograph.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// contract 6.1: an option that would change which subscriptions are meant is refused, others are told to be ignored.
func TestListOptions(t *testing.T) {
	t.Parallel()
	b, _ := newMemoryBench(t)
	for option, refused := range map[string]bool{
		"$filter": true, "$search": true, "$skip": true, "$apply": true, "$deltatoken": true,
		"$top": false, "$select": false, "$orderby": false, "$count": false, "$expand": false,
	} {
		list, err := b.service.List(t.Context(), user("Mail.Read"), subscribe.ListRequest{Options: []string{option}})
		if !refused {
			if err != nil || !slices.Equal(list.Ignored, []string{option}) {
				t.Errorf("%s: %+v, %v", option, list, err)
			}
			continue
		}
		if got := refusal(t, err); got.Rule != "list.query" || got.Message != "The query parameter '"+option+"' is not supported." || got.Code != "BadRequest" {
			t.Errorf("%s: %+v", option, got)
		}
	}
}
