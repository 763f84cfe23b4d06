package renew_test

import (
	"context"
	"fmt"
	"time"

	"heliograph.dev/receiver"
	"heliograph.dev/receiver/renew"
)

// printing is an API that says what it is asked. In your program it is renew.Client, or a few lines around an SDK.
type printing struct{ done chan struct{} }

func (p printing) Renew(_ context.Context, id string, until time.Time) (time.Time, error) {
	fmt.Println("PATCH", id)
	defer close(p.done)
	return until, nil
}

func (p printing) Reauthorize(_ context.Context, id string) error {
	fmt.Println("reauthorize", id)
	return nil
}

// A program that keeps its subscription alive. The handler goes into its server's mux.
func Example() {
	api := printing{make(chan struct{})}
	keeper, err := renew.New(renew.Options{
		API: api, Lease: 48 * time.Hour,
		Lost: func(context.Context, string) (string, time.Time, error) {
			// Create the subscription again, read what changed meanwhile, and return its id and when it ends.
			return "", time.Time{}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := receiver.New(receiver.Options{
		ClientState: receiver.FixedClientState("what you sent as clientState"),
		OnChange:    func(context.Context, *receiver.Notification) error { return nil },
		OnLifecycle: keeper.Handle,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- keeper.Run(ctx) }()

	keeper.Keep("7f105c7d-2dc5-4530-97cd-4e7ae6534c07", time.Now().Add(time.Hour)) // it is late: renewed at once
	<-api.done
	cancel()
	fmt.Println(<-ended, handler != nil)

	// Output:
	// PATCH 7f105c7d-2dc5-4530-97cd-4e7ae6534c07
	// <nil> true
}
