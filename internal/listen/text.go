package listen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Colours, as a terminal is told of them (ECMA-48).
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	magenta = "35"
	cyan    = "36"
)

const (
	clockFormat = "15:04:05.000"
	// indent puts details under the words, right of the time.
	indent = "              "
	// lineWidth is how long a JSON object may be to stand on one line.
	lineWidth = 100
)

// textView is for a person.
type textView struct{ paint bool }

func (v textView) handshake(in *incoming, token string) []byte {
	return v.block(v.head(in.at, cyan, "? handshake", in.path), v.color(dim, printable(token)))
}

func (v textView) notification(r *Receipt) []byte {
	what, color := "~ "+printable(r.ChangeType), yellow
	switch {
	case r.LifecycleEvent != "":
		what, color = "! lifecycle "+printable(r.LifecycleEvent), magenta
	case strings.EqualFold(r.ChangeType, "created"):
		what, color = "+ created", green
	case strings.EqualFold(r.ChangeType, "deleted"):
		what, color = "- deleted", red
	}
	head := v.head(r.At, color, what, r.Resource)
	if r.Latency > 0 {
		head += "  " + v.color(bold, brief(r.Latency))
	}
	lines := []string{head, v.color(dim, strings.Join(r.details(), " · "))}
	if r.Forged {
		lines = append(lines, v.color(red, "x its clientState is not the expected one: not from your subscription"))
	}
	if r.TokenFault != "" {
		lines = append(lines, v.color(red, "x "+printable(r.TokenFault)))
	}
	if r.Encrypted != nil {
		lines = append(lines, v.color(dim, fmt.Sprintf("encrypted for certificate %q, %d bytes", printable(r.Encrypted.CertificateID), r.Encrypted.Size)))
	}
	if r.SealFault != "" {
		lines = append(lines, v.color(red, "x "+printable(r.SealFault)))
	}
	lines = append(lines, pretty(r.ResourceData)...)
	if r.Data != nil {
		lines = append(append(lines, v.color(dim, "decrypted:")), pretty(r.Data)...)
	}
	return v.block(lines...)
}

// details are the smaller facts about a notification.
func (r *Receipt) details() []string {
	facts := []string{"subscription " + printable(r.SubscriptionID)}
	if r.Size > 1 {
		facts = append(facts, fmt.Sprintf("%d of %d", r.Index+1, r.Size))
	}
	switch left := r.Expires.Sub(r.At); {
	case r.Expires.IsZero():
	case left > 0:
		facts = append(facts, "expires in "+brief(left))
	default:
		facts = append(facts, "expired")
	}
	if r.Tokens > 0 {
		facts = append(facts, fmt.Sprintf("validation tokens: %d", r.Tokens))
	}
	return facts
}

func (v textView) rejected(in *incoming, prob *problem) []byte {
	return v.block(v.head(in.at, red, "x rejected "+strconv.Itoa(prob.status), in.path), printable(prob.text))
}

func (v textView) forwarded(in *incoming, went *passage) []byte {
	color, result := green, strconv.Itoa(went.status)
	switch {
	case went.status == 0:
		color, result = red, "failed"
	case went.fault != "" || went.status >= 300:
		color = red
	}
	lines := []string{v.head(in.at.Add(went.took), color, "> forwarded "+result, went.url) + "  " + v.color(bold, brief(went.took))}
	if went.fault != "" {
		lines = append(lines, v.color(red, printable(went.fault)))
	}
	return v.block(lines...)
}

func (v textView) head(at time.Time, color, what, subject string) string {
	line := v.color(dim, at.Format(clockFormat)) + "  " + v.color(color, what)
	if subject == "" {
		return line
	}
	return line + "  " + printable(subject)
}

func (v textView) color(code, s string) string {
	if !v.paint || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// block puts the first line at the margin, the others under it, and an empty one behind.
func (v textView) block(lines ...string) []byte {
	return []byte(strings.Join(lines, "\n"+indent) + "\n\n")
}

// pretty returns an object's lines: one when it is short.
func pretty(object json.RawMessage) []string {
	var short, long bytes.Buffer
	if len(object) == 0 || string(object) == "null" || json.Compact(&short, object) != nil {
		return nil
	}
	if utf8.RuneCount(short.Bytes()) <= lineWidth || json.Indent(&long, object, "", "  ") != nil {
		return []string{printable(short.String())}
	}
	lines := strings.Split(long.String(), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return lines
}

// brief writes a duration as a person says it.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
