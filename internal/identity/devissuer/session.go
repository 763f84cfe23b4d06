package devissuer

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"heliograph.dev"
)

// rememberedUser is who has signed in in a browser, sealed in a cookie.
type rememberedUser struct {
	Tenant  heliograph.TenantID `json:"t"`
	User    string              `json:"u"`
	Expires int64               `json:"e"`
}

// remembered returns who has signed in in a browser and may do so again: somebody of the tenant, and the one that the
// request hints at, if it does.
func (i *Issuer) remembered(r *http.Request, q *tokenRequest) (User, bool) {
	cookie, err := r.Cookie(rememberCookie)
	if err != nil {
		return User{}, false
	}
	var c rememberedUser
	if ok, err := i.unseal(r.Context(), rememberUse, cookie.Value, &c); err != nil || !ok || i.now().Unix() >= c.Expires {
		return User{}, false
	}
	user, known := i.user(c.Tenant, false, c.User)
	if !known || !q.anyTenant && user.Tenant != q.tenantID {
		return User{}, false
	}
	if hint := q.form.Get("login_hint"); hint != "" {
		if other, ok := i.user(user.Tenant, false, hint); !ok || other.Object != user.Object {
			return User{}, false
		}
	}
	return user, true
}

// logout forgets who has signed in, and sends the person back where the application says.
func (i *Issuer) logout(w http.ResponseWriter, r *http.Request, _ place) {
	http.SetCookie(w, i.cookie(r, "", -1))
	q := r.URL.Query()
	to := q.Get("post_logout_redirect_uri")
	app, _ := i.application(q.Get("client_id"))
	if u, f := i.redirectOf(&app, to); f == nil && (u.Scheme == "http" || u.Scheme == "https") {
		if q.Has("state") {
			more := u.Query()
			more.Set("state", q.Get("state"))
			u.RawQuery = more.Encode()
		}
		http.Redirect(w, r, u.String(), http.StatusFound)
		return
	}
	i.showNotice(w, r, "You are signed out", "You may close this page.")
}

// nativeClient is where native applications have people sent back to: they read the address.
func (i *Issuer) nativeClient(w http.ResponseWriter, r *http.Request, _ place) {
	i.showNotice(w, r, "You are signed in", "The application reads what it needs from the address of this page. You may close it.")
}

// sendBack sends a person back to the application, in the way that it has asked for.
func (i *Issuer) sendBack(w http.ResponseWriter, r *http.Request, a *authorization, p url.Values) {
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.Header().Set("Referrer-Policy", "no-referrer")
	switch to := *a.redirect; a.mode {
	case modeForm:
		i.showForm(w, r, a, p)
	case modeFragment:
		http.Redirect(w, r, to.String()+"#"+escaped(p), http.StatusFound) //nolint:gosec // G710: redirectOf has let it through
	default:
		to.RawQuery = strings.TrimPrefix(to.RawQuery+"&"+escaped(p), "&")
		http.Redirect(w, r, to.String(), http.StatusFound) //nolint:gosec // G710: redirectOf has let it through
	}
}

// escaped writes parameters without the plus for a space, which not every client knows in a fragment.
func escaped(p url.Values) string { return strings.ReplaceAll(p.Encode(), "+", "%20") }

// asFault returns an error's fault: what is none is an accident.
func asFault(err error) *fault {
	if f, is := errors.AsType[*fault](err); is {
		return f
	}
	return &fault{http.StatusServiceUnavailable, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again."}
}

func opaqueGUID() string { return heliograph.NewGUID().String() }

// expired reports whether a moment in seconds has passed.
func (i *Issuer) expired(at int64) bool { return !i.now().Before(time.Unix(at, 0)) }
