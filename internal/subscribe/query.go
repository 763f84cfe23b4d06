package subscribe

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"heliograph.dev/internal/catalog"
)

// queryOptions asks for what the row says of the options in the resource's query (contract 3.3.2 to 3.3.4). What
// it says nothing of is let pass.
func queryOptions(d *draft) error {
	options := d.resolved.Row.QueryOptions
	for _, name := range slices.Sorted(maps.Keys(options)) {
		given, ok := d.resolved.Query.Get(name)
		option := options[name]
		switch {
		case !ok && option.Rule == "required_when_rich" && d.rich():
			return d.refuse("create.rich.select.required")
		case !ok:
		case option.Rule == "billing":
			if word := wrongWord(given.Value, option); word != "" && d.profile.Metered { // contract 19.1, 19.4
				return d.refuse("create.resource.model", "model", word)
			}
		case option.Rule == "boolean":
			if _, err := strconv.ParseBool(strings.ToLower(given.Value)); err != nil {
				return d.refuse("create.query.boolean", "option", name)
			}
		case option.Rule == "forbidden":
			return d.refuse("create.query", "option", name)
		case option.Rule == "unsupported" && d.rich():
			return d.refuse("create.rich.select.unsupported")
		default:
			if word := wrongWord(given.Value, option); word != "" {
				return d.refuse("create.query", "option", name+" of "+word)
			}
		}
	}
	return userSpecific(d)
}

// userSpecific lets users ask for what only they see, where there is such a thing (contract 13.21).
func userSpecific(d *draft) error {
	const name = "notifyOnUserSpecificProperties"
	given, ok := d.resolved.Query.Get(name)
	switch asked, _ := strconv.ParseBool(strings.ToLower(given.Value)); {
	case !ok || !asked:
		return nil
	case !d.resolved.Row.UserSpecific:
		return d.refuse("create.query", "option", name)
	case !d.caller.Delegated:
		return d.refuse("create.query.delegated", "option", name)
	}
	return nil
}

// notificationQueryOptions are for the few resources whose options do not stand in their path (contract 1.15, 18.9).
func notificationQueryOptions(d *draft) error {
	if d.sub.NotificationQueryOptions != "" && d.resolved.Row.QueryOptions["notificationQueryOptions"].Rule == "" {
		return d.refuse("create.query_options")
	}
	return nil
}

// selection asks for conditions that can be read and that the row has (contract 18.6 to 18.9): what they let through is
// decided by them at every change, and what they do not say must not be guessed.
func selection(d *draft) error {
	_, err := d.resolved.Row.Selection(d.resolved.Query, d.sub.NotificationQueryOptions)
	if wrong, ok := errors.AsType[*catalog.OptionError](err); ok {
		return d.refuse("create.filter", "attribute", wrong.Attribute, "option", wrong.Option, "reason", wrong.Err.Error())
	}
	return err
}

// wrongWord returns the first of a list's words that the option may not have, or nothing.
func wrongWord(value string, option catalog.QueryOption) string {
	if text, err := url.QueryUnescape(value); err == nil {
		value = text
	}
	for _, word := range listed(value) {
		is := func(w string) bool { return strings.EqualFold(w, word) }
		if slices.ContainsFunc(option.Except, is) || len(option.Only) > 0 && !slices.ContainsFunc(option.Only, is) {
			return word
		}
	}
	return ""
}

// listed returns the words between the commas of a list, without what stands in parentheses behind them.
func listed(value string) []string {
	var words []string
	depth, start, end := 0, 0, -1
	for i, c := range value + "," {
		switch {
		case c == '(':
			if depth == 0 {
				end = i
			}
			depth++
		case c == ')':
			depth--
		case c == ',' && depth <= 0:
			if end < start {
				end = i
			}
			words = append(words, strings.TrimSpace(value[start:end]))
			start, end, depth = i+1, -1, 0
		}
	}
	return words
}
