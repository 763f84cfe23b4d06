// Package outcome reads what a server says of a change: with whom it is, who does not have it yet and how that went, and
// from whom it is withheld and why. What waits for deliveries (a test, a scenario) decides by it, and says why when it
// does not go well.
package outcome

import (
	"fmt"
	"strings"

	"heliograph.dev/client"
)

// Outcome is what has become of a change so far.
type Outcome struct {
	Delivered []client.Delivery
	Missing   []string // subscriptions that are to have it and do not yet, and how the last attempt went
	Withheld  []string // subscriptions that see the resource and do not get this change, and why
	For       []string // ids of the subscriptions that it is for
}

// Of reads it. A subscription that is named narrows it to that one.
func Of(e *client.Explained, subscription string) Outcome {
	var o Outcome
	for i := range e.Subscriptions {
		f := &e.Subscriptions[i]
		if subscription != "" && f.SubscriptionID != subscription {
			continue
		}
		if f.Withheld != "" {
			o.Withheld = append(o.Withheld, fmt.Sprintf("subscription %s does not get it: %s", f.SubscriptionID, f.Withheld))
			continue
		}
		o.For = append(o.For, f.SubscriptionID)
		if d, fault := last(f); d != nil {
			o.Delivered = append(o.Delivered, *d)
		} else {
			o.Missing = append(o.Missing, fmt.Sprintf("subscription %s at %s: %s", f.SubscriptionID, f.Endpoint, fault))
		}
	}
	return o
}

// Nobody says why the change is for nobody, or is empty when it is for somebody.
func (o *Outcome) Nobody() string {
	switch {
	case len(o.For) > 0:
		return ""
	case len(o.Withheld) > 0:
		return strings.Join(o.Withheld, "; ")
	}
	return "no subscription watches it"
}

// last returns the delivery that went well, or says how the latest one went.
func last(f *client.Fate) (delivered *client.Delivery, fault string) {
	for i := range f.Deliveries {
		if d := &f.Deliveries[i]; d.Reason == "delivered" && d.GivenUp == "" {
			return d, ""
		}
	}
	if len(f.Deliveries) == 0 {
		return nil, "not sent yet"
	}
	latest := &f.Deliveries[0]
	switch {
	case latest.GivenUp != "":
		return nil, "given up: " + latest.GivenUp
	case latest.Status != 0:
		return nil, fmt.Sprintf("the endpoint answered %d (%s)", latest.Status, latest.Reason)
	}
	return nil, strings.TrimSuffix(latest.Reason+": "+latest.Detail, ": ")
}
