package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// Serve serves on the listener, and closes it, until ctx is done. Then it waits for the requests under way, for a
// second more than forwarding one may take, and returns nil.
func (r *Receiver) Serve(ctx context.Context, listener net.Listener) error {
	defer r.Close()
	server := &http.Server{
		Handler:           r,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30*time.Second + r.opts.ForwardTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(r.opts.Logger.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("receive notifications: %w", err)
	case <-ctx.Done():
	}
	// Requests under way have the time that forwarding may take, and a little for the rest.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.opts.ForwardTimeout+time.Second)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		return errors.Join(fmt.Errorf("stop receiving notifications: %w", err), server.Close())
	}
	return nil
}

// Close lets go of connections to the target.
func (r *Receiver) Close() { r.client.CloseIdleConnections() }

// Colors reports whether colours are welcome on w: it is a terminal, and neither NO_COLOR nor a dumb terminal
// speaks against them (https://no-color.org).
func Colors(w io.Writer, getenv func(string) string) bool {
	if getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return false
	}
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
