package batch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/batch"
)

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := batch.Read([]byte(`{"requests":[
		{"id":"1","method":"GET","url":"/subscriptions","extra":{"a":[1]}},
		{"url":"subscriptions","id":"B","method":"POST","headers":{"Content-Type":"application/json","Prefer":"x"},"body":{"resource":"me"},"dependsOn":["1"]},
		{"id":"c","method":"DELETE","url":"/subscriptions/x","body":null,"headers":null,"dependsOn":["b","1"]}
	],"more":true}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []batch.Request{
		{ID: "1", Method: "GET", URL: "/subscriptions"},
		{
			ID: "B", Method: "POST", URL: "subscriptions", After: []int{0}, Body: []byte(`{"resource":"me"}`),
			Header: map[string]string{"Content-Type": "application/json", "Prefer": "x"},
		},
		{ID: "c", Method: "DELETE", URL: "/subscriptions/x", After: []int{1, 0}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// The texts are Graph's own, seen between 2019 and 2026.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		return `{"requests":[` + strings.TrimSuffix(strings.Repeat(`{"id":"%","method":"GET","url":"/x"},`, n), ",") + `]}`
	}
	number := func(s string) string {
		for i := 0; strings.Contains(s, "%"); i++ {
			s = strings.Replace(s, "%", fmt.Sprint(i), 1)
		}
		return s
	}
	if _, err := batch.Read([]byte(number(many(20)))); err != nil {
		t.Errorf("20 requests: %v", err)
	}
	const format, formatRule = "Invalid batch payload format.", "batch.format"
	for name, test := range map[string]struct{ body, message, rule, detail string }{
		"21 requests": {number(many(21)), "Number of requests inside batch exceeds the limit.", "batch.most", "a batch has 20 requests at most"},
		"a repeated id": {
			`{"requests":[{"id":"a","method":"GET","url":"/x"},{"id":"A","method":"GET","url":"/x"}]}`,
			"Request Id A has to be unique in a batch.", "batch.id", "ids are compared without case",
		},
		"a later dependency": {
			`{"requests":[{"id":"1","method":"GET","url":"/x","dependsOn":["2"]},{"id":"2","method":"GET","url":"/x"}]}`,
			"Invalid dependency for request Id 1.", "batch.dependency", `"2" is the id of no earlier request`,
		},
		"a dependency on itself": {
			`{"requests":[{"id":"1","method":"GET","url":"/x","dependsOn":["1"]}]}`,
			"Invalid dependency for request Id 1.", "batch.dependency", `"1" is the id of no earlier request`,
		},
		"a body without a type": {
			`{"requests":[{"id":"1","method":"POST","url":"/x","body":{},"headers":{"Accept":"x"}}]}`,
			"Write request with id '1' does not contain a Content-Type header.", "batch.content_type", "a request with a body needs the header",
		},
		"none":            {`{"requests":[]}`, format, formatRule, `a batch has one request at least, in "requests"`},
		"no list":         {`{}`, format, formatRule, `a batch has one request at least, in "requests"`},
		"an array":        {`[]`, format, formatRule, `expected an object, found '[' at byte 0`},
		"text":            {`{"requests":"x"}`, format, formatRule, `expected an array, found '"' at byte 12`},
		"no id":           {`{"requests":[{"method":"GET","url":"/x"}]}`, format, formatRule, "request 0: id, method and url are required"},
		"no method":       {`{"requests":[{"id":"1","url":"/x"}]}`, format, formatRule, "request 0: id, method and url are required"},
		"no url":          {`{"requests":[{"id":"1","method":"GET","url":null}]}`, format, formatRule, "request 0: id, method and url are required"},
		"a number for id": {`{"requests":[{"id":1}]}`, format, formatRule, "expected a string, found '1' at byte 19"},
		"a header's list": {`{"requests":[{"headers":{"a":["b"]}}]}`, format, formatRule, "expected a string, found '[' at byte 29"},
		"more behind":     {`{"requests":[{"id":"1","method":"GET","url":"/x"}]} x`, format, formatRule, "expected the end, found 'x' at byte 52"},
	} {
		_, err := batch.Read([]byte(test.body))
		refusal, isRefusal := errors.AsType[*heliograph.Error](err)
		if !isRefusal {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if refusal.Message != test.message || refusal.Rule != test.rule || refusal.Kind != heliograph.Invalid || refusal.Code != "BadRequest" {
			t.Errorf("%s: %+v", name, refusal)
		}
		if detail, found := errors.AsType[*batch.FormatError](err); !found || detail.Problem != test.detail {
			t.Errorf("%s: %v, want %s", name, refusal.Err, test.detail)
		}
	}
}

// Whatever depends on whatever: each request is given once, after those that it depends on, and knows whether one of
// them failed.
func TestRun(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requests := make([]batch.Request, rapid.IntRange(1, batch.Most).Draw(t, "requests"))
		bad := make(map[string]bool)
		for i := range requests {
			requests[i].ID = fmt.Sprint(i)
			if i > 0 {
				requests[i].After = rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, min(3, i), rapid.ID[int]).Draw(t, "after")
			}
			bad[requests[i].ID] = rapid.Bool().Draw(t, "bad")
		}
		var (
			mu   sync.Mutex
			well = make(map[string]bool)
		)
		answers := batch.Run(requests, func(r *batch.Request, failed string) (string, bool) {
			mu.Lock()
			defer mu.Unlock()
			mustFail := false
			for _, before := range r.After {
				ok, given := well[requests[before].ID]
				if !given {
					t.Errorf("%s came before %d", r.ID, before)
				}
				mustFail = mustFail || !ok
			}
			if mustFail != (failed != "") {
				t.Errorf("%s: failed %q", r.ID, failed)
			}
			if _, twice := well[r.ID]; twice {
				t.Errorf("%s came twice", r.ID)
			}
			well[r.ID] = !mustFail && !bad[r.ID]
			return r.ID, well[r.ID]
		})
		if !slices.EqualFunc(answers, requests, func(id string, r batch.Request) bool { return id == r.ID }) {
			t.Errorf("answers %v", answers)
		}
	})
}

// Requests that do not depend on each other do not wait for each other.
func TestRunSideBySide(t *testing.T) {
	t.Parallel()
	requests := make([]batch.Request, batch.Most)
	var all sync.WaitGroup
	all.Add(len(requests))
	batch.Run(requests, func(*batch.Request, string) (struct{}, bool) {
		all.Done()
		all.Wait()
		return struct{}{}, true
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"requests":[{"id":"1","method":"GET","url":"/x","headers":{"a":"b"},"body":{},"dependsOn":["1"]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		requests, err := batch.Read(body)
		if err != nil {
			if heliograph.KindOf(err) != heliograph.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		if len(requests) == 0 || len(requests) > batch.Most {
			t.Errorf("%d requests", len(requests))
		}
		for i, r := range requests {
			for _, before := range r.After {
				if before >= i {
					t.Errorf("%d depends on %d", i, before)
				}
			}
		}
	})
}
