package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

// tell posts notifications and judges the answer.
func (v *visit) tell(ctx context.Context, items ...item) seen {
	x := v.post(ctx, v.URL, collection(nil, items...))
	return taken(&x)
}

// each posts notifications one by one until one is not taken.
func (v *visit) each(ctx context.Context, items ...item) seen {
	s := pass("")
	for _, i := range items {
		s = s.or(v.tell(ctx, i))
		if s.verdict == Failed {
			break
		}
	}
	return s
}

func one(ctx context.Context, v *visit) seen { return v.tell(ctx, v.change()) }

func batch(ctx context.Context, v *visit) seen {
	items := make([]item, 0, 30)
	for range 10 {
		items = append(items, v.change(), v.change().with("changeType", "updated"), v.change().with("changeType", "deleted"))
	}
	return v.tell(ctx, items...)
}

func duplicate(ctx context.Context, v *visit) seen {
	i := v.change()
	return v.each(ctx, i, i)
}

func lean(ctx context.Context, v *visit) seen {
	return v.tell(ctx, v.change().without("id").without("resourceData"))
}

func unknownFields(ctx context.Context, v *visit) seen {
	return v.each(ctx,
		v.change().with("futureField", item{"deep": []int{1}}).with("encryptedContent", nil),
		v.change().with("resourceData", item{"@odata.type": "#Microsoft.Graph.future", "id": "1", "new": nil}),
		v.change().with("organizationId", v.Tenant))
}

func dates(ctx context.Context, v *visit) seen {
	at := v.Now().Add(24 * time.Hour)
	var items []item
	for _, form := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.9999999Z", "2006-01-02T15:04:05.0000000-07:00", "2006-01-02T15:04:05.000Z"} {
		items = append(items, v.change().with("subscriptionExpirationDateTime", at.In(time.FixedZone("", -8*3600)).Format(form)))
	}
	return v.each(ctx, items...)
}

// bear posts what should not be believed.
func (v *visit) bear(ctx context.Context, body []byte) seen {
	x := v.post(ctx, v.URL, body)
	return borne(&x)
}

func unknownSubscription(ctx context.Context, v *visit) seen {
	if v.Subscription == "" {
		return skip("all subscriptions are unknown here: say which it knows")
	}
	return v.bear(ctx, collection(nil, v.change().with("subscriptionId", heliograph.NewGUID().String())))
}

func forged(ctx context.Context, v *visit) seen {
	return v.bear(ctx, collection(nil, v.change().with("clientState", "not "+heliograph.NewGUID().String())))
}

func garbage(ctx context.Context, v *visit) seen {
	for _, body := range []string{"", "{", `{"value":null}`, `[]`, `{"value":[null]}`, "\xff\xfe", strings.Repeat("[", 10_000)} {
		x := v.post(ctx, v.URL, []byte(body))
		if a := &x.Attempt; a.Status == 0 || a.Status >= 500 {
			s := warn(fmt.Sprintf("%.20q: %s", body, answered(&x)))
			return s
		}
	}
	return pass("7 bodies")
}

func lifecycleEvent(name string) func(context.Context, *visit) seen {
	return func(ctx context.Context, v *visit) seen {
		s := pass("")
		for _, i := range v.lifecycleShapes(name) {
			x := v.post(ctx, v.LifecycleURL, collection(nil, i))
			s = s.or(taken(&x))
		}
		return s
	}
}

// lifecycleShapes are an event's item as it is documented (contract 14.1), and as it was seen: with the resource of the
// subscription, and without a clientState.
func (v *visit) lifecycleShapes(event string) []item {
	return []item{
		v.common().with("lifecycleEvent", event),
		v.common().with("lifecycleEvent", event).with("resource", v.Resource).with("organizationId", v.Tenant),
	}
}

func lifecycleMixed(ctx context.Context, v *visit) seen {
	var items []item
	for _, event := range []string{"reauthorizationRequired", "missed", "subscriptionRemoved"} {
		items = append(items, v.lifecycleShapes(event)...)
	}
	x := v.post(ctx, v.LifecycleURL, collection(nil, items...))
	return taken(&x)
}

func large(ctx context.Context, v *visit) seen {
	items := make([]item, 1000)
	for i := range items {
		items[i] = v.change()
	}
	return v.tell(ctx, items...)
}

func concurrency(ctx context.Context, v *visit) seen {
	const many = 32
	var answers [many]exchange
	var wg sync.WaitGroup
	for i := range answers {
		body := collection(nil, v.change())
		wg.Go(func() {
			answers[i] = v.Caller.Exchange(ctx, outbound.Request{URL: v.URL, Body: body, Timeout: v.Patience, Header: jsonBody()})
		})
	}
	wg.Wait()
	s := pass("")
	for i := range answers {
		s = s.or(taken(&answers[i]))
		v.note(&answers[i])
	}
	return s
}

func slowest(_ context.Context, v *visit) seen {
	text := fmt.Sprintf("the slowest answer took %v (%s)", v.slowest.Round(time.Millisecond), v.slowestOf)
	switch {
	case v.slowest > firstLimit:
		return fail(text)
	case v.slowest > comfortable:
		return warn(text)
	}
	return pass(text)
}
