package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/cloudevents"
	"heliograph.dev/internal/fixture"
	"heliograph.dev/internal/rawjson"
)

// Triggers knows what can be made up.
type Triggers interface {
	Triggers() []fixture.Trigger
	Make(r fixture.Request) (fixture.Change, error)
}

// allEvents asks for every event that there is.
const allEvents = "all"

// mostTriggered bounds the changes of one call; seeds are whole numbers that JavaScript can hold.
const (
	mostTriggered = 1000
	mostSeed      = 1<<53 - 1
)

// triggerSource is the source of events that were made up.
const triggerSource = "/control/v1/trigger"

// triggerRequest asks for made-up changes.
type triggerRequest struct {
	fixture.Request
	user   *string
	tenant string
	seed   *uint64
	count  uint64
}

func triggerShape() shape[triggerRequest] {
	type r = triggerRequest
	return shape[r]{
		text("event", func(r *r) *string { return &r.Event }),
		text("tenant", func(r *r) *string { return &r.tenant }),
		optional("user", func(r *r) **string { return &r.user }),
		{"parameters", rawjson.Object, func(r *r, c *rawjson.Cursor) error {
			r.Params = map[string]string{}
			return c.Object(func(name []byte) (err error) {
				key := string(name)
				r.Params[key], err = c.Text()
				return err
			})
		}},
		{"set", rawjson.Object, func(r *r, c *rawjson.Cursor) error {
			return c.Object(func(name []byte) error {
				s := fixture.Setting{Name: string(name)}
				value, err := c.Raw()
				s.Value = slices.Clone(value)
				r.Set = append(r.Set, s)
				return err
			})
		}},
		{"data", rawjson.Object, func(r *r, c *rawjson.Cursor) error {
			value, err := c.Raw()
			r.Data = slices.Clone(value)
			return err
		}},
		whole("seed", mostSeed, func(r *r, n uint64) { r.seed = &n }),
		whole("first", mostSeed, func(r *r, n uint64) { r.Index = n }),
		whole("count", mostTriggered, func(r *r, n uint64) { r.count = n }),
	}
}

// whole is a number without fraction from 0 to most.
func whole[T any](name string, most uint64, set func(*T, uint64)) property[T] {
	return property[T]{name, rawjson.Number, func(t *T, c *rawjson.Cursor) error {
		raw, err := c.Raw()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(raw), 10, 64)
		if err != nil || n > most {
			return &propertyError{name: name, problem: fmt.Sprintf("must be a whole number from 0 to %d", most)}
		}
		set(t, n)
		return nil
	}}
}

func (a *API) readTrigger(x *exchange) (triggerRequest, error) {
	body, err := x.jsonBody()
	if err != nil {
		return triggerRequest{}, err
	}
	r, err := triggerShape().decode(body, "The trigger request cannot be read; the header Heliograph-Detail says why.")
	if err != nil {
		return r, err
	}
	if r.user != nil {
		if r.Params == nil {
			r.Params = map[string]string{}
		}
		r.Params["user"] = *r.user
	}
	r.count = max(r.count, 1)
	r.Seed = rand.Uint64N(1 << 32) //nolint:gosec // made-up content is no secret
	if r.seed != nil {
		r.Seed = *r.seed
	}
	r.Now = a.opts.Now()
	return r, nil
}

// triggeredChange is one change that was made up.
type triggeredChange struct {
	ID         heliograph.ChangeID `json:"id"`
	Event      string              `json:"event"`
	ChangeType string              `json:"changeType"`
	Resource   string              `json:"resource"`
	Paths      []string            `json:"paths"`
	Parameters map[string]string   `json:"parameters"`
	Data       json.RawMessage     `json:"data,omitempty"`
}

type triggered struct {
	Seed     uint64            `json:"seed"`
	Accepted int               `json:"accepted"`
	Changes  []triggeredChange `json:"changes"`
}

// trigger makes changes up and publishes them, as anybody's would be.
func (a *API) trigger(ctx context.Context, caller *heliograph.Caller, r triggerRequest) (triggered, error) {
	if !caller.HasRole(heliograph.PermissionPublish) {
		return triggered{}, heliograph.Errorf(heliograph.Denied, "request.permission", "This call needs the application permission %s besides.", heliograph.PermissionPublish)
	}
	r.Tenant = heliograph.TenantID(cmp.Or(r.tenant, string(caller.Tenant)))
	t := triggered{Seed: r.Seed}
	var events []cloudevents.Event
	for i := range r.count {
		one := r.Request
		one.Index += i
		made, err := a.makeUp(one)
		if err != nil {
			return triggered{}, err
		}
		for j := range made {
			events = append(events, eventOf(&made[j], r.tenant, r.Now))
			t.Changes = append(t.Changes, triggeredChange{
				Event: made[j].Fixture.Name + "." + made[j].Type.String(), ChangeType: made[j].Type.String(), Resource: made[j].Resource,
				Paths: append([]string{}, made[j].Paths...), Parameters: made[j].Params, Data: made[j].Data,
			})
		}
		if len(events) > mostTriggered {
			return triggered{}, heliograph.Errorf(heliograph.TooLarge, "trigger.count", "a call makes %d changes at most", mostTriggered)
		}
	}
	for rest := events; len(rest) > 0; {
		n := a.fitting(rest)
		receipt, err := a.publish(ctx, caller, publication{events: rest[:n]})
		if err != nil {
			return triggered{}, err
		}
		for i, id := range receipt.IDs {
			t.Changes[t.Accepted+i].ID = id
		}
		t.Accepted, rest = t.Accepted+n, rest[n:]
	}
	return t, nil
}

// makeUp makes the changes of one event, or of all.
func (a *API) makeUp(r fixture.Request) ([]fixture.Change, error) {
	if !strings.EqualFold(r.Event, allEvents) {
		change, err := a.makeOne(r)
		return []fixture.Change{change}, err
	}
	if len(r.Set) > 0 || len(r.Data) > 0 {
		return nil, heliograph.Errorf(heliograph.Invalid, "trigger.all", "set and data are for one event, not for all of them")
	}
	var all []fixture.Change
	for _, trigger := range a.opts.Triggers.Triggers() {
		one := r
		one.Event, one.Params = trigger.Event, maps.Clone(r.Params)
		maps.DeleteFunc(one.Params, func(name, _ string) bool {
			return !slices.ContainsFunc(trigger.Fixture.Params, func(p fixture.Param) bool { return p.Name == name })
		})
		change, err := a.makeOne(one)
		if err != nil {
			return nil, err
		}
		all = append(all, change)
	}
	return all, nil
}

// makeOne makes a change, visible under both names of its user where two are known.
func (a *API) makeOne(r fixture.Request) (fixture.Change, error) {
	change, err := a.opts.Triggers.Make(r)
	user := change.Params["user"]
	if err != nil || user == "" || a.opts.OtherName == nil {
		return change, err
	}
	if r.Also = map[string]string{"user": a.opts.OtherName(r.Tenant, user)}; r.Also["user"] == "" {
		return change, nil
	}
	return a.opts.Triggers.Make(r)
}

// eventOf writes a change as the event that a publisher would send.
func eventOf(c *fixture.Change, tenant string, now time.Time) cloudevents.Event {
	e := cloudevents.Event{
		ID: heliograph.NewGUID().String(), Source: triggerSource, Type: "heliograph.change." + c.Type.String(), Subject: c.Resource,
		Time: now, Data: c.Data,
	}
	if len(c.Paths) > 0 {
		e.Extensions = append(e.Extensions, cloudevents.Extension{Name: pathsExtension, Value: strings.Join(c.Paths, " ")})
	}
	if tenant != "" {
		e.Extensions = append(e.Extensions, cloudevents.Extension{Name: tenantExtension, Value: tenant})
	}
	return e
}

// fitting returns how many events fit into one publication, one at least.
func (a *API) fitting(events []cloudevents.Event) int {
	bytes := 0
	for i := range events {
		bytes += len(events[i].Data) + len(events[i].Subject) + 1024
		if i > 0 && bytes > a.limits.PublishBytes || i == a.limits.Events {
			return i
		}
	}
	return len(events)
}

func didTrigger(_ *exchange, t triggered) answer {
	return answer{status: http.StatusAccepted, body: t}
}

// triggerView is an event that can be triggered.
type triggerView struct {
	Event      string          `json:"event"`
	Fixture    string          `json:"fixture"`
	About      string          `json:"about,omitempty"`
	ChangeType string          `json:"changeType"`
	Rows       []string        `json:"rows"`
	Resource   string          `json:"resource"`
	Paths      []string        `json:"paths"`
	Parameters []parameterView `json:"parameters"`
	// Example is the data that one such change would have.
	Example json.RawMessage `json:"example,omitempty"`
}

type parameterView struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	About   string `json:"about,omitempty"`
	// Seeded says that the default is another with each seed.
	Seeded bool `json:"seeded"`
}

func (a *API) listTriggers(_ context.Context, caller *heliograph.Caller, _ none) ([]triggerView, error) {
	var views []triggerView
	for _, t := range a.opts.Triggers.Triggers() {
		example, err := a.opts.Triggers.Make(fixture.Request{Event: t.Event, Seed: 1, Tenant: caller.Tenant, Now: a.opts.Now()})
		if err != nil {
			return nil, err
		}
		v := triggerView{
			Event: t.Event, Fixture: t.Fixture.Name, About: t.Fixture.About, ChangeType: t.Type.String(), Rows: t.Fixture.Rows[t.Type],
			Resource: t.Fixture.Path, Paths: append([]string{}, t.Fixture.Paths...), Parameters: []parameterView{}, Example: example.Data,
		}
		for _, p := range t.Fixture.Params {
			v.Parameters = append(v.Parameters, parameterView{
				Name: p.Name, Default: example.Params[p.Name], About: p.About, Seeded: strings.Contains(p.Default, "{{"),
			})
		}
		views = append(views, v)
	}
	return views, nil
}

func listedTriggers(_ *exchange, views []triggerView) answer {
	return answer{status: http.StatusOK, body: map[string]any{"value": views}}
}
