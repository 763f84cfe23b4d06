package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
)

// refusal is why a person does not come in.
type refusal struct {
	status int
	rule   string
	text   string // for the person
	err    error  // for the log
}

const style = `:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}
h1{font-size:1.3rem}a{color:inherit}small{opacity:.75}`

//nolint:gochecknoglobals // a constant
var refusalPage = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Heliograph: not signed in</title>
<style>` + style + `</style>
<main><h1>You are not signed in</h1><p>{{.Text}}</p><p><a href="` + signInPath + `?prompt=select_account">Sign in again</a></p><p><small>Reason: session.{{.Rule}}</small></p></main></html>
`))

// pagePolicy lets the page of a refusal have its style and nothing else.
func pagePolicy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// refuse tells a person, or the script of a page, why they do not come in.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	level, attrs := slog.LevelInfo, []slog.Attr{slog.String("rule", "session."+no.rule), slog.String("path", r.URL.Path)}
	if no.err != nil {
		level, attrs = slog.LevelWarn, append(attrs, slog.Any("error", no.err))
	}
	g.opts.Logger.LogAttrs(r.Context(), level, "not signed in", attrs...)
	w.Header().Set("Heliograph-Rule", "session."+no.rule)
	if !wantsPage(r) {
		writeJSON(w, no.status, map[string]string{"rule": "session." + no.rule, "message": no.text})
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy())
	w.WriteHeader(no.status)
	_ = refusalPage.Execute(w, struct{ Text, Rule string }{no.text, no.rule}) // the browser may be gone
}
