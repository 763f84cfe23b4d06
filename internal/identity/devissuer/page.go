package devissuer

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
)

// signInPage is what the page shows on which people sign in.
type signInPage struct {
	what       *authorization // that they sign in for, or
	device     bool           // a device
	userCode   string
	hint       string // who it is, probably
	remembered string // who it was last
	wrong      *fault // with what was filled in
}

const style = `:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}
body{max-width:30rem;margin:8vh auto;padding:0 1rem}
h1{font-size:1.4rem;margin-bottom:.2rem}
p,ul{margin:.5rem 0}
form{display:grid;gap:.75rem;margin-top:1.25rem}
fieldset{border:0;padding:0;margin:0;display:grid;gap:.5rem}
legend,label{font-weight:600;padding:0}
label small{font-weight:400}
input,button{font:inherit;padding:.6rem .75rem;border:1px solid;border-radius:.4rem;width:100%;box-sizing:border-box}
input{display:block;margin-top:.2rem}
button{text-align:left;cursor:pointer}
button.first{font-weight:600;text-align:center}
button.cancel{text-align:center;border-style:dashed}
button span{display:block;font-size:.9rem}
:focus-visible{outline:3px solid #2667d9;outline-offset:2px}
[role=alert]{border-left:.3rem solid #c4290a;padding:.4rem .75rem}
footer{margin-top:2rem;font-size:.9rem}`

const submitScript = `document.forms[0].submit()`

const pageHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex"><title>{{.Title}}</title><style>` + style + `</style></head>
<body><main><h1>{{.Title}}</h1>
`

const pageFoot = `</main><footer>Heliograph's development issuer: nobody is asked who they really are.</footer></body></html>
`

//nolint:gochecknoglobals // constants
var (
	signInTemplate = template.Must(template.New("").Parse(pageHead + `{{with .App}}<p>to continue to <strong>{{.}}</strong></p>{{end}}
{{with .Wrong}}<p role="alert">{{.}}</p>{{end}}
<form method="post" autocomplete="off">
{{if .Device}}<label>Code that the device shows <input name="user_code" value="{{.UserCode}}" required autocapitalize="characters" spellcheck="false"{{if not .UserCode}} autofocus{{end}}></label>
{{end}}{{if .AsksPassword}}<label>Password <small>(only of users that have one)</small> <input name="password" type="password"></label>
{{end}}{{if .Users}}<fieldset><legend>Who are you?</legend>
{{range $n, $u := .Users}}<button name="user" value="{{.UPN}}"{{if .First}} autofocus{{end}}>{{.Name}}<span>{{.UPN}}</span></button>
{{end}}</fieldset>
{{else}}<label>Who are you? <small>Any name will do</small> <input name="user" value="{{.Hint}}" required pattern="[^\s\/\\?#%'&quot;()&lt;&gt;*]+" title="a user name without spaces, such as ada@example.com" spellcheck="false"{{if not .Device}} autofocus{{end}}></label>
<button class="first">Sign in</button>
{{end}}<button class="cancel" name="cancel" value="1" formnovalidate>Cancel</button>
</form>
{{with .Scopes}}<details><summary>What the application asks for</summary><ul>{{range .}}<li>{{.}}</li>{{end}}</ul></details>{{end}}
` + pageFoot))

	noticeTemplate = template.Must(template.New("").Parse(pageHead + `<p>{{.Text}}</p>` + pageFoot))

	formTemplate = template.Must(template.New("").Parse(pageHead + `<form method="post" action="{{.Action}}">
{{range $name, $value := .Fields}}<input type="hidden" name="{{$name}}" value="{{$value}}">
{{end}}<noscript><button class="first">Continue</button></noscript></form><script>` + submitScript + `</script>` + pageFoot))
)

// shownUser is a user on the page.
type shownUser struct {
	UPN, Name string
	First     bool // the one that is probably meant
}

// showSignIn shows the page on which people sign in.
func (i *Issuer) showSignIn(w http.ResponseWriter, r *http.Request, p *signInPage) {
	view := struct {
		Title, App, Wrong, UserCode, Hint string
		Device, AsksPassword              bool
		Users                             []shownUser
		Scopes                            []string
	}{Title: "Sign in", Device: p.device, UserCode: p.userCode, Hint: p.hint}
	if p.device {
		view.Title = "Sign in a device"
	}
	if view.Hint == "" {
		view.Hint = p.remembered
	}
	status, forms := http.StatusOK, "'self'"
	if p.wrong != nil {
		status, view.Wrong = http.StatusBadRequest, p.wrong.Error()
	}
	if p.what != nil {
		view.App, view.Scopes = p.what.app.Name, p.what.wants.words
		forms += " " + sourceOf(p.what.redirect) // browsers hold the redirect that answers a form to this as well
	}
	for n := range i.users {
		u := &i.users[n]
		if p.what == nil || p.what.anyTenant || u.Tenant == p.what.tenantID {
			view.Users = append(view.Users, shownUser{u.UPN, u.Name, u.UPN == view.Hint})
			view.AsksPassword = view.AsksPassword || !u.Password.IsZero()
		}
	}
	i.show(w, r, &shown{status, signInTemplate, view, forms, ""})
}

// showFault tells a person what is wrong with the request that has brought them here.
func (i *Issuer) showFault(w http.ResponseWriter, r *http.Request, f *fault) {
	view := map[string]string{"Title": "Sorry, but we’re having trouble signing you in", "Text": f.Error()}
	i.show(w, r, &shown{f.status, noticeTemplate, view, "'none'", ""})
}

func (i *Issuer) showNotice(w http.ResponseWriter, r *http.Request, title, text string) {
	i.show(w, r, &shown{http.StatusOK, noticeTemplate, map[string]string{"Title": title, "Text": text}, "'none'", ""})
}

// showForm has the browser post the answer to the application.
func (i *Issuer) showForm(w http.ResponseWriter, r *http.Request, a *authorization, p url.Values) {
	view := struct {
		Title  string
		Action template.URL
		Fields map[string]string
	}{Title: "Going back to the application", Action: template.URL(a.redirect.String()), Fields: map[string]string{}} //nolint:gosec // redirectOf has let it through
	for name := range p {
		view.Fields[name] = p.Get(name)
	}
	i.show(w, r, &shown{http.StatusOK, formTemplate, view, sourceOf(a.redirect), submitScript})
}

// shown is a page on its way out.
type shown struct {
	status   int
	template *template.Template
	view     any
	forms    string // where its forms may go
	script   string // the only one that may run, or none
}

// show writes a page that may do nothing but what it is for.
func (i *Issuer) show(w http.ResponseWriter, r *http.Request, s *shown) {
	policy := "default-src 'none'; style-src " + digest(style) + "; base-uri 'none'; frame-ancestors 'none'; form-action " + s.forms
	if s.script != "" {
		policy += "; script-src " + digest(s.script)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Referrer-Policy", "same-origin") // with none, the form would come from nowhere
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(s.status)
	if r.Method != http.MethodHead {
		_ = s.template.Execute(w, s.view) // the browser may be gone
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// sourceOf names a redirect in a Content-Security-Policy: its origin, or its scheme where it is an application's own.
func sourceOf(u *url.URL) string {
	if slices.Contains([]string{"http", "https"}, u.Scheme) {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}
