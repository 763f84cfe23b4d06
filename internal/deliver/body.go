package deliver

import (
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/match"
)

// The body of a POST is a changeNotificationCollection (contract 10.1, section 11):
//
//	{"value":[item,…]}
//
// It is appended by hand into a buffer that is used again: this is the hottest JSON of the server.

// NotificationID returns the id of one change as told to one subscription: always the same.
func NotificationID(sub heliograph.SubscriptionID, change heliograph.ChangeID) heliograph.NotificationID {
	id := sub
	for i := range id { // both are uniform, so their mix is; and it costs no hash on the hot path
		id[i] ^= change[i]
	}
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// estimate is about how many bytes the item takes in a body: a rich one has its change's data, encrypted and in
// base64, and beside it a key, a signature and a certificate's name.
func (p *pending) estimate() int {
	if !p.rich {
		return 600
	}
	return 1600 + len(p.change().Data)*4/3
}

// appendItem appends one changeNotification: a change as target sees it.
func appendItem(b []byte, p *pending, target *match.Target, sealer Sealer) (_ []byte, err error) {
	change := p.change()
	b = appendHead(b, NotificationID(p.sub, change.ID), p.sub, time.Unix(0, target.Expires))
	b = append(b, change.Tenant...)
	b = append(b, '"')
	if target.Row.Extras.Organization {
		b = appendField(b, "organizationId", string(change.Tenant))
	}
	b = appendField(b, "clientState", target.ClientState.Reveal())
	b = append(b, `,"changeType":"`...)
	b = append(b, p.told.String()...)
	b = append(b, '"')
	rich := target.Rich != nil
	b = appendField(b, "resource", p.instance.Resource(target.Resource, rich))
	b = appendResourceData(b, p, target)
	if rich {
		b = append(b, `,"encryptedContent":`...)
		if b, err = sealer.AppendContent(b, target, change, &p.instance); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// appendNotice appends a lifecycle notification: no resource, no changeType (contract 14.1), unless it looks as it was
// observed.
func appendNotice(b []byte, p *pending, n *heliograph.Notice, observed bool) []byte {
	change := p.change()
	if observed {
		return appendObserved(b, change.Tenant, n)
	}
	b = appendHead(b, NotificationID(p.sub, change.ID), p.sub, n.Expires)
	b = append(b, change.Tenant...)
	b = append(b, '"')
	b = appendField(b, "clientState", n.ClientState.Reveal())
	b = append(b, `,"lifecycleEvent":"`...)
	b = append(b, n.Event.String()...)
	return append(b, '"', '}')
}

// appendObserved appends a lifecycle notification as it was seen in 2023: organizationId in the place of tenantId, and
// the members of a change's item with nothing in them.
func appendObserved(b []byte, tenant heliograph.TenantID, n *heliograph.Notice) []byte {
	b = append(b, `{"lifecycleEvent":"`...)
	b = append(b, n.Event.String()...)
	b = n.Subscription.Append(append(b, `","subscriptionId":"`...))
	b = append(b, `","resource":"","clientState":`...)
	if state := n.ClientState.Reveal(); state != "" {
		b = heliograph.AppendJSONString(b, state)
	} else {
		b = append(b, `null`...)
	}
	b = append(b, `,"sequence":null,"resourceData":{},"encryptedContent":null,"organizationId":"`...)
	b = append(b, tenant...)
	b = append(b, `","subscriptionExpirationDateTime":"`...)
	b = n.Expires.UTC().AppendFormat(b, stamp)
	return append(b, '"', '}')
}

// appendHead appends what every item begins with, up to the value of tenantId.
func appendHead(b []byte, id heliograph.NotificationID, sub heliograph.SubscriptionID, expires time.Time) []byte {
	b = id.Append(append(b, `{"id":"`...))
	b = sub.Append(append(b, `","subscriptionId":"`...))
	b = append(b, `","subscriptionExpirationDateTime":"`...)
	b = expires.UTC().AppendFormat(b, stamp)
	return append(b, `","tenantId":"`...)
}

// appendField appends a string field behind a comma, or nothing when the value is empty.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return heliograph.AppendJSONString(b, value)
}
