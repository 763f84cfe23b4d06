package devissuer

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"heliograph.dev"
)

const (
	deviceLifetime = 15 * time.Minute
	deviceInterval = 1 // seconds between questions; Entra says 5
	mostDevices    = 1000
	userCodeLength = 9
	// userCodeLetters are hard to mistake for each other, and make no words.
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ23456789"
)

// device is a sign-in of a device that is under way.
type device struct {
	code     string // the device's own
	userCode string // that the person types
	request  tokenRequest
	wants    *wishes
	expires  int64
	user     *User // who has signed in
	declined bool
}

// devices are those under way, at most mostDevices.
type devices struct {
	mu    sync.Mutex
	queue []*device // oldest first
}

// add remembers one, and forgets those that have ended and the oldest beyond the bound.
func (d *devices) add(one *device, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) > 0 && (len(d.queue) >= mostDevices || d.queue[0].expires <= now.Unix()) {
		d.queue = d.queue[1:]
	}
	d.queue = append(d.queue, one)
}

// find returns a copy of the one that fits.
func (d *devices) find(fits func(*device) bool) (device, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.queue {
		if fits(one) {
			return *one, true
		}
	}
	return device{}, false
}

// settle notes who has signed in for a device, or that nobody will. The first who says it counts.
func (d *devices) settle(userCode string, user *User) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.queue {
		if one.userCode == userCode && one.user == nil && !one.declined {
			one.user, one.declined = user, user == nil
		}
	}
}

// take removes a device that has got its answer, and reports whether it was there.
func (d *devices) take(code string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n, one := range d.queue {
		if one.code == code {
			d.queue = append(d.queue[:n:n], d.queue[n+1:]...)
			return true
		}
	}
	return false
}

// deviceAnswer is what a device shows to its user.
type deviceAnswer struct {
	UserCode        string `json:"user_code"`
	DeviceCode      string `json:"device_code"`
	VerificationURI string `json:"verification_uri"`
	VerificationURL string `json:"verification_url,omitempty"` // v1's name for it
	ExpiresIn       int    `json:"expires_in"`
	Interval        int    `json:"interval"`
	Message         string `json:"message"`
}

// deviceCode begins the sign-in of a device that has no browser.
func (i *Issuer) deviceCode(w http.ResponseWriter, r *http.Request, at place) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeFault(w, r, i.now(), badRequest("invalid_request", 900561, "The endpoint only accepts POST requests. Received a %s request.", cut(r.Method)))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	one, f := i.readDevice(r, at)
	if f != nil {
		writeFault(w, r, i.now(), f)
		return
	}
	i.devices.add(one, i.now())
	page := at.base + "/common/oauth2/deviceauth"
	answer := &deviceAnswer{
		UserCode: one.userCode, DeviceCode: one.code, VerificationURI: page, ExpiresIn: int(deviceLifetime / time.Second), Interval: deviceInterval,
		Message: fmt.Sprintf("To sign in, use a web browser to open the page %s and enter the code %s to authenticate.", page, one.userCode),
	}
	if at.v1 {
		answer.VerificationURL = page
	}
	writePrivate(w, correlationID(r), http.StatusOK, answer)
}

func (i *Issuer) readDevice(r *http.Request, at place) (*device, *fault) {
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("invalid_request", 90014, "The request body is not a form of at most %d bytes.", maxForm)
	}
	q := tokenRequest{place: at, form: r.Form}
	var err error
	if q.tenantID, q.anyTenant, err = i.resolveTenant(at.tenant); err != nil {
		return nil, unknownTenant(at.tenant)
	}
	id := q.form.Get("client_id")
	if id == "" {
		return nil, missing("client_id")
	}
	app, known := i.application(id)
	if !known || !validName(id) {
		return nil, badRequest("unauthorized_client", 700016, "Application with identifier '%s' was not found in the directory '%s'.", cut(id), q.tenantID)
	}
	q.app = app
	wants, err := q.wishes(i.audience)
	if err != nil {
		return nil, asFault(err)
	}
	return &device{
		code: opaque(48), userCode: newUserCode(), request: q, wants: wants, expires: i.now().Add(deviceLifetime).Unix(),
	}, nil
}

func newUserCode() string {
	code := make([]byte, 0, userCodeLength)
	for len(code) < userCodeLength {
		var b [1]byte
		_, _ = rand.Read(b[:])                          // never fails: crypto/rand ends the program instead
		if n := int(b[0]); n < 9*len(userCodeLetters) { // so that none is likelier than another
			code = append(code, userCodeLetters[n%len(userCodeLetters)])
		}
	}
	return string(code)
}

// deviceSignIn is the page on which a person signs in for a device.
func (i *Issuer) deviceSignIn(w http.ResponseWriter, r *http.Request, _ place) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		i.showSignIn(w, r, &signInPage{device: true, userCode: r.URL.Query().Get("user_code")})
	case http.MethodPost:
		if f := i.readForm(w, r); f != nil {
			i.showFault(w, r, f)
			return
		}
		i.settleDevice(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		i.showFault(w, r, badRequest("invalid_request", 900561, "The endpoint only accepts GET and POST requests. Received a %s request.", cut(r.Method)))
	}
}

func (i *Issuer) settleDevice(w http.ResponseWriter, r *http.Request) {
	typed := strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(r.PostForm.Get("user_code")))
	page := &signInPage{device: true, userCode: typed, hint: r.PostForm.Get("user")}
	one, found := i.devices.find(func(d *device) bool {
		return d.userCode == typed && !i.expired(d.expires) && d.user == nil && !d.declined
	})
	if !found {
		page.wrong = badRequest("bad_verification_code", 70019, "The code %s is unknown, has been used, or has expired.", cut(typed))
		i.showSignIn(w, r, page)
		return
	}
	if r.PostForm.Has("cancel") {
		i.devices.settle(typed, nil)
		i.showNotice(w, r, "The device is not signed in", "You may close this page.")
		return
	}
	user, f := i.identify(r, &one.request)
	if f != nil {
		page.wrong = f
		i.showSignIn(w, r, page)
		return
	}
	i.devices.settle(typed, &user)
	i.showNotice(w, r, "The device is signed in", "You have signed in as "+user.UPN+". You may close this page and go back to the device.")
}

// deviceGrant gives a device its token, once somebody has signed in for it.
func (i *Issuer) deviceGrant(ctx context.Context, q *tokenRequest) (any, error) {
	code := q.form.Get("device_code")
	if code == "" {
		code = q.form.Get("code") // v1's name for it
	}
	if code == "" {
		return nil, missing("device_code")
	}
	one, found := i.devices.find(func(d *device) bool { return d.code == code })
	switch {
	case !found:
		return nil, badRequest("bad_verification_code", 70019, "The device code is unknown or has been used.")
	case one.request.app.ID != q.app.ID:
		return nil, badRequest("invalid_grant", 700005, "The device code was issued to another application.")
	case i.expired(one.expires):
		return nil, badRequest("expired_token", 70020, "The provided value for the input parameter 'device_code' is not valid. This device code has expired.")
	case one.declined:
		return nil, badRequest("authorization_declined", 70018, "The user has declined to sign in.")
	case one.user == nil:
		return nil, badRequest("authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	case !q.anyTenant && q.tenantID != one.user.Tenant:
		return nil, badRequest("invalid_grant", 50020, "The user is of the tenant '%s', not of '%s'.", one.user.Tenant, q.tenantID)
	case !i.devices.take(code):
		return nil, badRequest("bad_verification_code", 70019, "The device code is unknown or has been used.")
	}
	q.tenantID = heliograph.TenantID(one.user.Tenant)
	return i.userGrant(ctx, q, one.wants, one.user)
}
