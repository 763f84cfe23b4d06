package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog passes the embedded server's lines on to slog. Its notices are about its own start and stop, so
// they are debug lines here; warnings and errors keep their level.
type serverLog struct {
	logger *slog.Logger
	last   atomic.Pointer[string] // error
}

// Noticef is about the server's own start and stop.
func (l *serverLog) Noticef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Warnf keeps its level.
func (l *serverLog) Warnf(format string, v ...any) { l.line(slog.LevelWarn, format, v) }

// Errorf keeps its level.
func (l *serverLog) Errorf(format string, v ...any) { l.line(slog.LevelError, format, v) }

// Fatalf is why the server ends.
func (l *serverLog) Fatalf(format string, v ...any) { l.line(slog.LevelError, format, v) }

// Debugf keeps its level.
func (l *serverLog) Debugf(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Tracef has no level below debug here.
func (l *serverLog) Tracef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

func (l *serverLog) line(level slog.Level, format string, v []any) {
	ctx := context.Background() // the server's lines belong to no request
	if !l.logger.Enabled(ctx, level) && level < slog.LevelError {
		return
	}
	text := fmt.Sprintf(format, v...)
	if level >= slog.LevelError {
		l.last.Store(&text)
	}
	l.logger.Log(ctx, level, "nats server", "text", text)
}

// lastError is why the server did not start, as far as it said so.
func (l *serverLog) lastError() string {
	if text := l.last.Load(); text != nil {
		return *text
	}
	return "it gave no reason"
}
