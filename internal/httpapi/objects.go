package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/objects"
)

// Objects are the resources that were published, by the paths that Graph reads them by.
type Objects interface {
	Read(ctx context.Context, r objects.Request) (objects.Answer, error)
	// Forget loses every sync state.
	Forget(ctx context.Context) error
}

// objectPath is where an object or a collection may be: everywhere below the version that is nothing else.
const objectPath = "{resource}"

// ofObjects returns the stop of what was published, for a path that no other stop is for, or nil.
func (a *API) ofObjects(method string, segments []string) *stop {
	if len(segments) < 2 || method != http.MethodGet && method != http.MethodHead {
		return nil
	}
	for _, at := range a.router.stops {
		if at.label == "/"+strings.ToLower(segments[0])+"/"+objectPath {
			return at
		}
	}
	return nil
}

// object answers for a path of the Graph API that no other route has.
func (a *API) object(ctx context.Context, x *exchange) (answer, error) {
	r := objects.Request{
		Caller: x.caller, Beta: x.version == "beta", Root: x.root(), Options: map[string]string{}, MaxPage: maxPageOf(x.request.Header),
	}
	_, r.Path, _ = strings.Cut(strings.TrimPrefix(x.request.URL.EscapedPath(), "/"), "/")
	switch formatOf(x.request.Header).metadata {
	case bare:
		r.Metadata = objects.None
	case full:
		r.Metadata = objects.Full
	case minimal:
	}
	for name, values := range x.request.URL.Query() {
		option := systemOption(name)
		if option == "" && strings.EqualFold(name, "token") { // as drives call it
			option = "$deltatoken"
		}
		if option != "" {
			r.Options[option] = values[0]
		}
	}
	found, err := a.opts.Objects.Read(ctx, r)
	switch {
	case err != nil:
		return answer{}, lostAt(x, err)
	case !found.Known:
		return answer{}, strayed(segmentsOf(x.request.URL.Path), 1)
	}
	return objectShown(x, found), nil
}

// maxPageOf reads Prefer: odata.maxpagesize=50.
func maxPageOf(header http.Header) int {
	for _, line := range header.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
			if strings.EqualFold(strings.TrimPrefix(strings.ToLower(name), "odata."), "maxpagesize") {
				if n, err := strconv.Atoi(value); err == nil && n > 0 {
					return n
				}
			}
		}
	}
	return 0
}

// collection is a page of objects on the wire.
type collection struct {
	Context   string            `json:"@odata.context,omitempty"`
	Count     *int              `json:"@odata.count,omitempty"`
	NextLink  string            `json:"@odata.nextLink,omitempty"`
	DeltaLink string            `json:"@odata.deltaLink,omitempty"`
	Value     []json.RawMessage `json:"value"`
}

func objectShown(x *exchange, found objects.Answer) answer {
	media := formatOf(x.request.Header).media()
	switch {
	case found.Number != nil:
		return answer{status: http.StatusOK, media: "text/plain", body: strconv.Itoa(*found.Number)}
	case found.Object != nil:
		return answer{status: http.StatusOK, media: media, body: found.Object}
	}
	c := collection{Context: found.Context, Count: found.Count, Value: found.Values}
	if found.Skip != "" {
		c.NextLink = linkTo(x, "$skiptoken", found.Skip)
	}
	if found.Delta != "" {
		c.DeltaLink = linkTo(x, "$deltatoken", found.Delta)
	}
	return answer{status: http.StatusOK, media: media, body: c}
}

// linkTo returns the address of the request with a token in place of the one that it had, in the client's own terms.
func linkTo(x *exchange, name, token string) string {
	query := x.request.URL.Query()
	for option := range query {
		if slices.Contains([]string{"$skiptoken", "$deltatoken", "$skip"}, systemOption(option)) || strings.EqualFold(option, "token") {
			query.Del(option)
		}
	}
	link := x.origin.String() + x.request.URL.EscapedPath() + "?"
	if rest := query.Encode(); rest != "" {
		link += strings.ReplaceAll(rest, "%24", "$") + "&"
	}
	return link + name + "=" + url.QueryEscape(token)
}

// lostError is a sync state that is lost, and where the client may begin anew.
type lostError struct {
	*objects.LostError
	location string
}

// lostAt adds where to begin anew to a sync state that is lost.
func lostAt(x *exchange, err error) error {
	lost, found := errors.AsType[*objects.LostError](err)
	if !found {
		return err
	}
	return &lostError{lost, x.origin.String() + x.request.URL.EscapedPath()}
}

func (a *API) forgetSync(ctx context.Context, _ *heliograph.Caller, _ none) error {
	return a.opts.Objects.Forget(ctx)
}
