package listen

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// lineView is for programs: one object per line.
type lineView struct{}

// line is what JSON output consists of. Members that do not apply are left out.
type line struct {
	Event   string    `json:"event"` // handshake, notification, lifecycle, rejected, forwarded
	Time    time.Time `json:"time"`
	Path    string    `json:"path,omitempty"`
	Latency *float64  `json:"latencyMs,omitempty"`
	Index   *int      `json:"index,omitempty"` // in its collection, from 0
	Size    int       `json:"size,omitempty"`  // of its collection
	Tokens  int       `json:"validationTokens,omitempty"`
	Forged  bool      `json:"forged,omitempty"`
	// Notification is the item as it came, without its clientState.
	Notification json.RawMessage `json:"notification,omitempty"`
	// Data is what its encrypted content holds.
	Data       json.RawMessage `json:"data,omitempty"`
	SealFault  string          `json:"sealFault,omitempty"`
	TokenFault string          `json:"tokenFault,omitempty"`
	Token      string          `json:"token,omitempty"` // of a handshake
	Status     int             `json:"status,omitempty"`
	Target     string          `json:"target,omitempty"`
	Took       *float64        `json:"tookMs,omitempty"`
	Error      string          `json:"error,omitempty"`
}

func (lineView) handshake(in *incoming, token string) []byte {
	return encode(&line{Event: "handshake", Time: in.at, Path: in.path, Token: token})
}

func (lineView) notification(r *Receipt) []byte {
	l := &line{
		Event: "notification", Time: r.At, Path: r.Path, Index: &r.Index, Size: r.Size,
		Tokens: r.Tokens, Forged: r.Forged, Notification: r.Raw,
		Data: r.Data, SealFault: r.SealFault, TokenFault: r.TokenFault,
	}
	if r.LifecycleEvent != "" {
		l.Event = "lifecycle"
	}
	if r.Latency > 0 {
		l.Latency = milliseconds(r.Latency)
	}
	return encode(l)
}

func (lineView) rejected(in *incoming, prob *problem) []byte {
	return encode(&line{Event: "rejected", Time: in.at, Path: in.path, Status: prob.status, Error: prob.text})
}

func (lineView) forwarded(in *incoming, went *passage) []byte {
	return encode(&line{
		Event: "forwarded", Time: in.at.Add(went.took), Path: in.path, Status: went.status,
		Target: went.url, Took: milliseconds(went.took), Error: went.fault,
	})
}

func milliseconds(d time.Duration) *float64 {
	ms := d.Seconds() * 1e3
	return &ms
}

// encode writes an object on a line of its own. Escaping what is not printable does not change what it says:
// outside of strings JSON has only printable characters.
func encode(l *line) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(l); err != nil {
		return nil // not reached: the notification is JSON, everything else is ours
	}
	return []byte(printable(strings.TrimSuffix(b.String(), "\n")) + "\n")
}
