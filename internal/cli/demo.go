package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/listen"
)

const (
	demoUser = "demo"
	// demoWait bounds the wait for one notification of the story.
	demoWait = 5 * time.Second
)

func (t *tool) demo() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "demo [DIR]",
		Short: "See the whole story in one process: a file is saved, a notification arrives",
		Long: `Run the whole story over real HTTP in one process: a server on an embedded engine, a receiver, a
subscription on a folder as a drive, and files that are saved in it. Each notification is printed with its
latency from the write of the file to its receipt.

Without DIR the demo saves files of its own in a temporary folder; with DIR it watches what you save there and
writes nothing. It goes on until ctrl-c; with --once it ends after the story, with exit code 1 if a step failed.`,
		Args: cobra.MaximumNArgs(1),
	}
	c.Flags().BoolVar(&once, "once", false, "end after the story")
	c.RunE = func(c *cobra.Command, args []string) error {
		d := &demo{tool: t, received: make(chan *listen.Receipt, 1024), once: once}
		if len(args) == 1 {
			d.watched = args[0]
		}
		err := d.run(c.Context())
		if err != nil && c.Context().Err() == nil {
			return fmt.Errorf("the demo failed: %w", err)
		}
		return nil
	}
	return c
}

// demo is the story under way.
type demo struct {
	*tool
	once     bool
	watched  string // the user's folder, or empty
	dir      string // whichever folder it is
	received chan *listen.Receipt
	hook     string // the receiver's URL
	api      *client.Client
	id       string // of the subscription
}

func (d *demo) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := d.folder(); err != nil {
		return err
	}
	if d.watched == "" {
		defer func() { _ = os.RemoveAll(d.dir) }()
	}
	stopReceiver, err := d.startReceiver(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopReceiver()) }()
	server, err := d.startServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	if err := d.subscribe(ctx, server); err != nil {
		return err
	}
	if err := d.story(ctx); err != nil {
		return err
	}
	if d.once {
		return d.end(ctx)
	}
	d.printf("\nSave, change or remove files in %s. Stop with ctrl-c.\n", d.dir)
	<-ctx.Done()
	return nil
}

// folder is the user's, or a temporary one.
func (d *demo) folder() (err error) {
	if d.dir = d.watched; d.dir != "" {
		return nil
	}
	d.dir, err = os.MkdirTemp("", "heliograph-demo-")
	return err
}

// startReceiver starts what heliograph listen is, on a free port.
func (d *demo) startReceiver(ctx context.Context) (stop func() error, err error) {
	receiver, err := listen.New(listen.Options{
		Out: d.Out, Color: d.colors(), Now: now, Logger: d.logger(0, "text"), Happened: d.happened,
		Format: map[bool]listen.Format{true: listen.JSON}[d.asJSON()],
		Received: func(r *listen.Receipt) {
			select {
			case d.received <- r:
			default: // nobody waits for it
			}
		},
	})
	if err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.hook = "http://" + l.Addr().String() + "/"
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- receiver.Serve(ctx, l) }()
	return func() error {
		cancel()
		return <-ended
	}, nil
}

// happened tells when the file behind a notification was written: the newest write in the folder.
func (d *demo) happened(*listen.Notification) (time.Time, bool) {
	var newest time.Time
	_ = filepath.WalkDir(d.dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a file that went away meanwhile says nothing
		}
		if info, err := entry.Info(); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return nil
	})
	return newest, !newest.IsZero()
}

func (d *demo) startServer(ctx context.Context) (*app.App, error) {
	cfg := config.Default(config.Dev)
	cfg.Listen.HTTP, cfg.Listen.HTTPS = "127.0.0.1:0", ""
	cfg.Drives = []config.Drive{{User: demoUser, Dir: d.dir}}
	began := now()
	server, err := app.Start(ctx, app.Options{Config: cfg, Logger: d.logger(cfg.Log.Level+4, "text"), Version: buildInfo().Version})
	if err != nil {
		return nil, err
	}
	d.note("server ready on %s in %d ms; %s is the drive of user %q", server.URL(), now().Sub(began).Milliseconds(), d.dir, demoUser)
	return server, nil
}

// subscribe gets a token and subscribes to the drive, as any application would.
func (d *demo) subscribe(ctx context.Context, server *app.App) (err error) {
	d.api, err = client.New(server.URL(), client.ClientCredentials(client.Credentials{
		TokenURL: server.URL() + "/common/oauth2/v2.0/token", ClientID: "heliograph-demo", ClientSecret: "any",
	}))
	if err != nil {
		return err
	}
	s, err := d.api.CreateSubscription(ctx, client.Subscription{
		Resource: "users/" + demoUser + "/drive/root", ChangeType: "updated", NotificationURL: d.hook,
		ExpirationDateTime: now().Add(time.Hour), ClientState: "demo",
	})
	if err != nil {
		return err
	}
	d.id = s.ID
	d.note("the endpoint proved itself; subscription %s lasts until %s", s.ID, s.ExpirationDateTime.Local().Format(time.TimeOnly))
	return nil
}

// story saves files and waits for what is told of them, or waits for what the user saves.
func (d *demo) story(ctx context.Context) error {
	if d.watched != "" {
		d.note("waiting for you to save something in %s", d.watched)
		return d.await(ctx, now(), time.Duration(1<<62))
	}
	file := filepath.Join(d.dir, "hello.txt")
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"a file is made", func() error { return os.WriteFile(file, nil, 0o600) }},
		{"it is written", func() error { return os.WriteFile(file, bytes.Repeat([]byte("hello\n"), 100), 0o600) }},
		{"it is removed", func() error { return os.Remove(file) }},
	} {
		d.note("%s", step.what)
		began := now()
		if err := step.do(); err != nil {
			return err
		}
		if err := d.await(ctx, began, demoWait); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// await waits for a notification of the drive.
func (d *demo) await(ctx context.Context, began time.Time, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		select {
		case r := <-d.received:
			if r.SubscriptionID != d.id || r.ChangeType != "updated" {
				return fmt.Errorf("got a notification of subscription %s, change type %q", r.SubscriptionID, r.ChangeType)
			}
			if d.watched == "" {
				d.note("received %d ms after the write", r.At.Sub(began).Milliseconds())
			}
			return nil
		case <-timer.C:
			return fmt.Errorf("no notification within %v", most)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end lives the rest of a subscription's life: renewed, reauthorized, deleted, gone.
func (d *demo) end(ctx context.Context) error {
	s, err := d.api.UpdateSubscription(ctx, d.id, client.Update{ExpirationDateTime: now().Add(48 * time.Hour)})
	if err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	d.note("renewed until %s", s.ExpirationDateTime.Local().Format(time.DateTime))
	if err := d.api.ReauthorizeSubscription(ctx, d.id); err != nil {
		return fmt.Errorf("reauthorize: %w", err)
	}
	if err := d.api.DeleteSubscription(ctx, d.id); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if _, err := d.api.Subscription(ctx, d.id); !client.IsNotFound(err) {
		return fmt.Errorf("a deleted subscription is still there: %w", err)
	}
	d.note("reauthorized, deleted, gone")
	return nil
}

// note tells the story beside the notifications, which go to the output.
func (d *demo) note(format string, args ...any) {
	w := io.Writer(d.Out)
	if d.asJSON() {
		w = d.Err
	}
	_, _ = fmt.Fprintf(w, "• "+format+"\n", args...)
}
