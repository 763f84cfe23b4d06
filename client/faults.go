package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Fault is trouble made on purpose, at a development server. Only Kind is needed; see heliograph faults add --help for
// the kinds.
type Fault struct {
	ID   string `json:"id,omitempty"`
	Kind string `json:"kind"`
	// App, Method and Path choose calls of the API, Endpoint chooses deliveries by the beginning of their URL.
	App      string `json:"app,omitempty"`
	Method   string `json:"method,omitempty"`
	Path     string `json:"path,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// Of those chosen the first Skip are left alone, then Share of them (0: all) are hit, by a dice that Seed throws, until
	// Times have been (0: without end).
	Skip  int     `json:"skip,omitempty"`
	Times int     `json:"times,omitempty"`
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
	// Delay is how long latency and delay hold up, RetryAfter what throttled and unavailable say.
	Delay      time.Duration `json:"-"`
	RetryAfter time.Duration `json:"-"`
	// Seen is how many calls or deliveries it chose so far, Hit how many of them it hit.
	Seen int `json:"seen,omitempty"`
	Hit  int `json:"hit,omitempty"`
}

// MarshalJSON writes what a server is asked for.
func (f Fault) MarshalJSON() ([]byte, error) {
	type plain Fault
	f.ID, f.Seen, f.Hit = "", 0, 0
	return json.Marshal(struct {
		plain
		Delay      string `json:"delay,omitempty"`
		RetryAfter string `json:"retryAfter,omitempty"`
	}{plain(f), spanOf(f.Delay), spanOf(f.RetryAfter)})
}

// spanOf is a duration as a server reads it, or nothing.
func spanOf(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return isoDuration(d)
}

// AddFault puts a fault in force. It needs Heliograph.Control, as what follows does.
func (c *Client) AddFault(ctx context.Context, f Fault) (*Fault, error) {
	var made Fault
	if err := c.do(ctx, call{method: http.MethodPost, path: "/control/v1/faults", body: f}, &made); err != nil {
		return nil, err
	}
	made.Delay, made.RetryAfter = f.Delay, f.RetryAfter
	return &made, nil
}

// Faults returns the faults in force.
func (c *Client) Faults(ctx context.Context) ([]Fault, error) {
	var list struct {
		Value []Fault `json:"value"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/faults"}, &list)
	return list.Value, err
}

// RemoveFault takes a fault out of force.
func (c *Client) RemoveFault(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/control/v1/faults/" + url.PathEscape(id)}, nil)
}

// ClearFaults takes all faults out of force.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/control/v1/faults"}, nil)
}
