package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/takeover"
)

// firstFile is the descriptor of the first file that a process is given besides the three that it always has.
const firstFile = 3

// inside is what the program is told that was started in a namespace.
type inside struct {
	Dir       string       `json:"dir"`
	Server    string       `json:"server,omitempty"`    // that runs, or empty
	Listening string       `json:"listening,omitempty"` // the address of the listener that is open already
	Way       takeover.Way `json:"way"`
}

func (s inside) text() string {
	b, err := json.Marshal(s)
	if err != nil { // strings and a bool always marshal
		return ""
	}
	return string(b)
}

// inside is the takeover in the namespace: the server, and then the command.
func (o *taken) inside(ctx context.Context, text string) (err error) {
	if text == takeover.TryText {
		return o.try()
	}
	var spec inside
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("%s is for this program's own use: %w", insideVariable, err)
	}
	o.dir, o.server = spec.Dir, spec.Server
	o.Environ = takeover.UnsetEnv(o.Environ, insideVariable)
	if err := spec.Way.Settle(o.dir, o.cloud.Hosts); err != nil {
		return err
	}
	if o.authority, err = app.TakeoverAuthority(o.cfg); err != nil {
		return err
	}
	at := net.JoinHostPort(spec.Way.Address, takeover.Port)
	var base string
	if o.server != "" {
		end, err := o.forward(ctx, at)
		if err != nil {
			return err
		}
		defer func() { err = also(err, end()) }()
	} else {
		o.cfg.Listen.HTTPS = config.Address(at)
		server, err := o.start(ctx, spec.listen)
		if err != nil {
			return err
		}
		defer func() { err = also(err, server.Stop(context.WithoutCancel(ctx))) }()
		base = server.URL()
	}
	environ, err := takeover.Trust(o.dir, o.authority.PEM(), o.Environ, now())
	if err != nil {
		return err
	}
	how := "in a namespace of the command's own"
	if spec.Way.OwnNetwork {
		how += "\nheliograph: its network is its own too, for want of the right to listen on port 443: it reaches the server and itself, and nothing else"
	}
	o.ready(how, base)
	return o.command(ctx, environ, base)
}

// try makes a namespace as it would be, and ends.
func (o *taken) try() error {
	dir, err := os.MkdirTemp("", "heliograph-takeover-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return takeover.Way{Address: takeover.Addresses()[0]}.Settle(dir, o.cloud.Hosts)
}

// listen opens an address. One that was opened outside of the namespace is opened within too, where it is another one.
func (s inside) listen(ctx context.Context, address string) (net.Listener, error) {
	if s.Listening == "" || address == net.JoinHostPort(s.Way.Address, takeover.Port) {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	file := os.NewFile(firstFile, "listener")
	defer func() { _ = file.Close() }()
	outside, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	within, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Listening)
	if err != nil {
		return nil, errors.Join(err, outside.Close())
	}
	return takeover.Merge(outside, within), nil
}

// forward sends what comes to an address on to the server that runs.
func (o *taken) forward(ctx context.Context, at string) (end func() error, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- takeover.Forward(ctx, l, o.server) }()
	return func() error {
		cancel()
		return <-ended
	}, nil
}
