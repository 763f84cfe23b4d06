package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/faults"
	"heliograph.dev/internal/rawjson"
)

// Faults are what goes wrong on purpose.
type Faults interface {
	// Call holds a call of the Graph API up, and returns why it is refused, or nil.
	Call(ctx context.Context, c faults.Call) error
	List() []faults.State
	Add(f faults.Fault) (faults.State, error)
	Remove(id heliograph.GUID) bool
	Clear()
}

// faultView is a fault as it is shown.
type faultView struct {
	ID         string           `json:"id"`
	Kind       faults.Kind      `json:"kind"`
	App        heliograph.AppID `json:"app,omitempty"`
	Method     string           `json:"method,omitempty"`
	Path       string           `json:"path,omitempty"`
	Endpoint   string           `json:"endpoint,omitempty"`
	Skip       int              `json:"skip,omitempty"`
	Times      int              `json:"times,omitempty"`
	Share      float64          `json:"share"`
	Seed       uint64           `json:"seed"`
	Delay      string           `json:"delay,omitempty"`
	RetryAfter string           `json:"retryAfter,omitempty"`
	Seen       int              `json:"seen"`
	Hit        int              `json:"hit"`
}

func viewOfFault(s *faults.State) faultView {
	v := faultView{
		ID: s.ID.String(), Kind: s.Kind, App: s.App, Method: s.Method, Path: s.Path, Endpoint: s.Endpoint,
		Skip: s.Skip, Times: s.Times, Share: s.Share, Seed: s.Seed, Seen: s.Seen, Hit: s.Hit,
		Delay: durationText(s.Delay), RetryAfter: durationText(s.RetryAfter),
	}
	if v.Share == 0 {
		v.Share = 1
	}
	return v
}

// durationText is a duration in ISO 8601, or nothing.
func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return "PT" + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "S"
}

func faultShape() shape[faults.Fault] {
	type f = faults.Fault
	return shape[f]{
		{"kind", rawjson.String, func(f *f, c *rawjson.Cursor) error {
			kind, err := c.Text()
			f.Kind = faults.Kind(kind)
			return err
		}},
		{"app", rawjson.String, func(f *f, c *rawjson.Cursor) error {
			app, err := c.Text()
			f.App = heliograph.AppID(app)
			return err
		}},
		text("method", func(f *f) *string { return &f.Method }),
		text("path", func(f *f) *string { return &f.Path }),
		text("endpoint", func(f *f) *string { return &f.Endpoint }),
		whole("skip", 1<<31-1, func(f *f, n uint64) { f.Skip = int(n) }),   //nolint:gosec // bounded
		whole("times", 1<<31-1, func(f *f, n uint64) { f.Times = int(n) }), //nolint:gosec // bounded
		whole("seed", mostSeed, func(f *f, n uint64) { f.Seed = n }),
		{"share", rawjson.Number, func(f *f, c *rawjson.Cursor) error {
			raw, err := c.Raw()
			if err == nil {
				f.Share, err = strconv.ParseFloat(string(raw), 64)
			}
			return err
		}},
		lasting("delay", func(f *f) *time.Duration { return &f.Delay }),
		lasting("retryAfter", func(f *f) *time.Duration { return &f.RetryAfter }),
	}
}

// lasting is a duration in ISO 8601.
func lasting[T any](name string, field func(*T) *time.Duration) property[T] {
	return property[T]{name, rawjson.String, func(t *T, c *rawjson.Cursor) error {
		text, err := c.Text()
		if err != nil {
			return err
		}
		d, err := parseDuration(text)
		if err != nil {
			return &propertyError{name: name, problem: err.Error()}
		}
		*field(t) = d
		return nil
	}}
}

func readFault(x *exchange) (faults.Fault, error) {
	body, err := x.jsonBody()
	if err != nil {
		return faults.Fault{}, err
	}
	return faultShape().decode(body, "The fault cannot be read; the header Heliograph-Detail says why.")
}

func (a *API) faults(context.Context, *heliograph.Caller, none) ([]faults.State, error) {
	return a.opts.Faults.List(), nil
}

func listedFaults(_ *exchange, list []faults.State) answer {
	value := make([]faultView, len(list))
	for i := range list {
		value[i] = viewOfFault(&list[i])
	}
	return answer{status: http.StatusOK, body: map[string]any{"value": value}}
}

func (a *API) addFault(_ context.Context, _ *heliograph.Caller, f faults.Fault) (faults.State, error) {
	return a.opts.Faults.Add(f)
}

func addedFault(_ *exchange, s faults.State) answer {
	return answer{status: http.StatusCreated, body: viewOfFault(&s)}
}

func (a *API) removeFault(_ context.Context, _ *heliograph.Caller, id heliograph.SubscriptionID) error {
	if !a.opts.Faults.Remove(id) {
		return notFound("faults.id")
	}
	return nil
}

func (a *API) clearFaults(context.Context, *heliograph.Caller, none) error {
	a.opts.Faults.Clear()
	return nil
}
