package subscribe

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"heliograph.dev"
)

// pageSize is how many subscriptions a page has. Graph's is not known (contract 22.1).
const pageSize = 100

// permissionReadAll lets a user's token list beyond its application (contract 6.7 to 6.9).
const permissionReadAll = "Subscription.Read.All"

// List returns a page of the subscriptions that the caller may see, oldest first. Pages stay right while
// subscriptions come and go: one that is there throughout is on exactly one page.
func (s *Service) List(_ context.Context, caller *heliograph.Caller, r ListRequest) (List, error) {
	for _, option := range r.Options {
		if isSelective(option) {
			return List{}, s.profile.Refuse("list.query", map[string]string{"option": option})
		}
	}
	in := scopeOf(caller)
	var after place
	if r.SkipToken != "" {
		var ok bool
		if after, ok = s.openToken(in, r.SkipToken); !ok {
			return List{}, s.profile.Refuse("list.skiptoken", nil)
		}
	}
	page, more := s.options.Registry.page(in, after, s.now(), s.listable(caller))
	list := List{Subscriptions: page, Ignored: r.Options}
	if more {
		last := &page[len(page)-1]
		list.Next = s.sealToken(in, place{last.Created.UnixNano(), last.ID})
	}
	return list, nil
}

// isSelective reports whether a query option says which subscriptions are meant. Lists know none (contract 6.1): to
// ignore one would give the caller others than he asked for, and Graph was seen to refuse $search (2023). Options that
// only say how a list is to look ($top, $select, $orderby) are ignored: clients send them by habit.
func isSelective(option string) bool {
	switch option {
	case "$apply", "$deltatoken", "$filter", "$search", "$skip":
		return true
	}
	return false
}

// scopeOf returns where to look for what a caller may see: what is his application's (contract 6.5, 6.6) or, with
// Subscription.Read.All, all that is his (contract 6.7), or all of a directory for whoever governs it (contract
// 6.8).
func scopeOf(caller *heliograph.Caller) scope {
	switch {
	case !caller.Delegated:
		return scope{tenant: caller.Tenant, app: caller.App}
	case !readsAll(caller):
		return scope{tenant: caller.Tenant, app: caller.App, user: caller.Object}
	case !caller.Personal && slices.Contains(caller.DirectoryRoles, heliograph.GlobalAdministrator):
		return scope{tenant: caller.Tenant}
	}
	return scope{tenant: caller.Tenant, user: caller.Object}
}

// readsAll reports whether a caller has Subscription.Read.All, which there is for users only (contract 6.9).
func readsAll(caller *heliograph.Caller) bool {
	return caller.Delegated && slices.Contains(caller.Scopes, permissionReadAll)
}

// listable returns what says of a subscription in a caller's scope whether it is listed: his own application's with
// a permission that suffices for the resource, any other by Subscription.Read.All where that reaches. What is of a
// row that an operator has taken away takes no permission.
func (s *Service) listable(caller *heliograph.Caller) func(*heliograph.Subscription) bool {
	type verdict struct{ own, any bool }
	verdicts := make(map[string]verdict)
	all := readsAll(caller)
	return func(sub *heliograph.Subscription) bool {
		v, known := verdicts[sub.Row]
		if !known {
			row := s.options.Catalog.Row(sub.Row)
			v.own = row == nil || row.PermitsSome(caller, s.options.Strict)
			v.any = all && (row == nil || row.ListedByReadAll(caller))
			verdicts[sub.Row] = v
		}
		return v.any || v.own && visible(caller, sub)
	}
}

// A page token is the place of the page's last subscription (8 bytes of time, 16 of id) and a code over it and
// the scope: it cannot be made up, and one caller's says nothing to another.
const placeSize, codeSize = 24, 16

func (s *Service) sealToken(in scope, p place) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, placeSize+codeSize), uint64(p.created)) //nolint:gosec // the bits are kept
	b = append(b, p.id[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, s.tokenCode(in, b)...))
}

func (s *Service) openToken(in scope, token string) (place, bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != placeSize+codeSize || !hmac.Equal(b[placeSize:], s.tokenCode(in, b[:placeSize])) {
		return place{}, false
	}
	return place{int64(binary.BigEndian.Uint64(b)), heliograph.GUID(b[8:placeSize])}, true //nolint:gosec // the bits are kept
}

func (s *Service) tokenCode(in scope, place []byte) []byte {
	code := hmac.New(sha256.New, s.options.TokenKey)
	bound := heliograph.DeriveGUID(string(in.tenant), string(in.app), string(in.user))
	code.Write(bound[:])
	code.Write(place)
	return code.Sum(nil)[:codeSize]
}
