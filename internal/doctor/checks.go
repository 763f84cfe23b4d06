package doctor

import "context"

// check is one thing to look at.
type check struct {
	id, group, title string
	// weight is what it counts in the score: 3 where a failure means that nothing works, 1 where it is a matter of care.
	weight int
	sealed bool // it needs the receiver's certificate
	run    func(context.Context, *visit) seen
	// matters and mend are told when it does not pass.
	matters, mend string
}

// The groups.
const (
	handshakes    = "handshake"
	notifications = "notifications"
	lifecycle     = "lifecycle"
	sealed        = "resource data"
	endurance     = "endurance"
)

// checks is the examination, in order.
func checks() []check {
	var all []check
	for _, part := range [][]check{handshakeChecks(), notificationChecks(), lifecycleChecks(), sealedChecks(), enduranceChecks()} {
		all = append(all, part...)
	}
	return all
}

func handshakeChecks() []check {
	const (
		none = "The subscription cannot be made: Graph proves every endpoint before it answers the create request."
		echo = "Answer 200 with Content-Type text/plain and, as the whole body, the value of the query parameter validationToken, decoded once."
	)
	return []check{
		{
			id: "handshake.echo", group: handshakes, title: "gives the validation token back", weight: 3, run: echoPlain,
			matters: none, mend: echo,
		},
		{
			id: "handshake.media", group: handshakes, title: "answers as text/plain", weight: 2, run: echoMedia,
			matters: none + " As text/html, the endpoint also shows whatever a stranger puts into the token.",
			mend:    "Set Content-Type to text/plain.",
		},
		{
			id: "handshake.hostile", group: handshakes, title: "decodes the token once, whatever is in it", weight: 2, run: echoHostile,
			matters: "Tokens are opaque: the day one holds a plus or a percent sign, new subscriptions and changed URLs fail.",
			mend:    "Take the parameter from your framework's parsed query, and decode it no second time. Do not trim, escape or change the case of it.",
		},
		{
			id: "handshake.lifecycle", group: handshakes, title: "does the same for lifecycle notifications", weight: 2, run: echoLifecycle,
			matters: none, mend: echo,
		},
		{
			id: "handshake.twice", group: handshakes, title: "answers two at the same time, while a create request waits", weight: 1, run: echoTwice,
			matters: "notificationUrl and lifecycleNotificationUrl are both proved while the application's own create request is open: one that handles a request at a time waits for itself.",
			mend:    "Handle requests side by side, and hold no lock or transaction while you create a subscription.",
		},
		{
			id: "handshake.time", group: handshakes, title: "answers well within ten seconds", weight: 1, run: echoTime,
			matters: "A cold start that takes longer fails the create request, and the next renewal of the URL.",
			mend:    "Answer the handshake before anything else: no database, no sign-in. Keep an instance warm.",
		},
	}
}

func notificationChecks() []check {
	const again = "Whatever is not a 2xx in time counts as not delivered: it is sent again for four hours, and then lost."
	return []check{
		{
			id: "notify.one", group: notifications, title: "takes a notification", weight: 3, run: one,
			matters: again, mend: "Answer 202 to a POST with a changeNotificationCollection.",
		},
		{
			id: "notify.batch", group: notifications, title: "takes many notifications in one request", weight: 2, run: batch,
			matters: "Several notifications of several subscriptions come in one POST. " + again, mend: "Go through all of value, and answer once.",
		},
		{
			id: "notify.duplicate", group: notifications, title: "takes a notification that came before", weight: 1, run: duplicate,
			matters: "Delivery is at least once: an error for the second copy asks for a third.",
			mend:    "Remember ids for some hours, answer 202 to one that you have seen, and do nothing more.",
		},
		{
			id: "notify.lean", group: notifications, title: "does without optional fields", weight: 1, run: lean,
			matters: "id, clientState and resourceData are optional, and some resources have none. " + again, mend: "Expect subscriptionId, resource and changeType only.",
		},
		{
			id: "notify.unknown_fields", group: notifications, title: "does not mind what it does not know", weight: 1, run: unknownFields,
			matters: "Graph adds fields and values without notice. " + again, mend: "Read JSON leniently: unknown properties and unknown values of enumerations are no errors.",
		},
		{
			id: "notify.dates", group: notifications, title: "reads every form of date", weight: 1, run: dates,
			matters: "Dates come with none to seven decimals, with Z and with offsets. " + again, mend: "Parse dates as RFC 3339, with fractions of any length.",
		},
		{
			id: "notify.unknown_subscription", group: notifications, title: "bears a subscription that it does not know", weight: 1, run: unknownSubscription,
			matters: "A notification may come before your create request has returned, and after you have deleted a subscription. An error makes it come for four hours.",
			mend:    "Store what you know of a subscription before you create it, and answer 202 to the others.",
		},
		{
			id: "notify.forged", group: notifications, title: "bears a wrong clientState", weight: 1, run: forged,
			matters: "Anybody who learns the URL can send notifications. Whether this one was believed cannot be seen from outside: look that nothing came of it.",
			mend:    "Compare clientState in constant time, drop what differs, and answer 202 all the same.",
		},
		{
			id: "notify.garbage", group: notifications, title: "refuses what is no JSON", weight: 1, run: garbage,
			matters: "An exception that strangers can cause fills logs and alerts.", mend: "Answer 400 to what cannot be read.",
		},
	}
}

func lifecycleChecks() []check {
	const life = "An application that does not take lifecycle notifications loses its subscriptions without noticing."
	event := func(id, name, mend string) check {
		return check{
			id: "lifecycle." + id, group: lifecycle, title: "takes " + name, weight: 1, run: lifecycleEvent(name), matters: life, mend: mend,
		}
	}
	return []check{
		event("reauthorization_required", "reauthorizationRequired", "Answer 202, then POST to /subscriptions/{id}/reauthorize, or renew."),
		event("subscription_removed", "subscriptionRemoved", "Answer 202, create the subscription again, and catch up on what changed meanwhile."),
		event("missed", "missed", "Answer 202, and catch up on what changed meanwhile, with delta."),
		{
			id: "lifecycle.mixed", group: lifecycle, title: "takes several events in one request", weight: 1, run: lifecycleMixed,
			matters: life, mend: "Go through all of value: each item has an event and a subscription of its own.",
		},
		{
			id: "lifecycle.future", group: lifecycle, title: "bears an event that does not exist yet", weight: 1, run: lifecycleEvent("somethingNew"),
			matters: "Graph says that there will be more events.", mend: "Log an event that you do not know, and answer 202.",
		},
	}
}

func sealedChecks() []check {
	const issuer = "Graph has two forms of issuer for validation tokens. A receiver that knows one only loses everything the day the other comes."
	return []check{
		{
			id: "sealed.v2", group: sealed, title: "takes resource data with a token of issuer form v2", weight: 2, sealed: true, run: sealedWith(v2),
			matters: issuer, mend: "Verify the tokens by their issuer's published keys; take https://login.microsoftonline.com/{tenant}/v2.0 with azp.",
		},
		{
			id: "sealed.v1", group: sealed, title: "takes resource data with a token of issuer form v1", weight: 1, sealed: true, run: sealedWith(v1),
			matters: issuer, mend: "Take https://sts.windows.net/{tenant}/ with appid too.",
		},
		{
			id: "sealed.large", group: sealed, title: "takes resource data of 4 MB", weight: 1, sealed: true, run: sealedLarge,
			matters: "Resource data has no limit that is known. What is refused is sent again for four hours, and then lost.",
			mend:    "Raise the limit on request bodies, in the proxy before the application too.",
		},
		{
			id: "sealed.signature", group: sealed, title: "bears a wrong signature", weight: 1, sealed: true, run: sealedWrongly,
			matters: "It does not get better by being sent again. Whether the data was believed cannot be seen from outside.",
			mend:    "Compare the HMAC-SHA256 of the ciphertext in constant time before you decrypt; drop what differs, and answer 202.",
		},
		{
			id: "sealed.rotated", group: sealed, title: "survives a certificate that it does not have", weight: 1, sealed: true, run: sealedElsewhere,
			matters: "While a certificate is rotated, content sealed for the old and the new one arrives side by side.",
			mend:    "Choose the key by encryptionCertificateId, keep the old one for a day, and ask to come again (503) for one that you do not have yet.",
		},
		{
			id: "sealed.token", group: sealed, title: "bears a token of a stranger", weight: 1, sealed: true, run: sealedByStranger,
			matters: "Whoever knows your certificate, which is public, can seal content for you: the token alone proves the sender.",
			mend:    "Verify signature, audience, issuer and azp or appid of each token; drop what fails, and answer 202.",
		},
	}
}

func enduranceChecks() []check {
	return []check{
		{
			id: "endurance.large", group: endurance, title: "takes a request of 1,000 notifications", weight: 1, run: large,
			matters: "After an outage what has gathered comes in large requests.", mend: "Raise the limit on request bodies, and queue what comes.",
		},
		{
			id: "endurance.concurrency", group: endurance, title: "takes 32 requests at once", weight: 2, run: concurrency,
			matters: "Graph sends as fast as changes happen, side by side. Slow answers make an endpoint slow, and then its notifications are dropped.",
			mend:    "Answer 202 before the work, and put no lock around the endpoint.",
		},
		{
			id: "endurance.time", group: endurance, title: "answered everything within three seconds", weight: 3, run: slowest,
			matters: "More than a tenth of answers beyond three seconds delay everything by ten minutes; more than 15 percent beyond ten seconds, and notifications are dropped.",
			mend:    "Answer 202 first and do the work behind it, in a queue.",
		},
	}
}
