package engine

import (
	"context"
	"fmt"
	"log/slog"
)

// serverLog passes the embedded server's lines on to slog. Its notices are about its own start and stop, so
// they are debug lines here; warnings and errors keep their level.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.line(slog.LevelWarn, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.line(slog.LevelError, format, v) }
func (l serverLog) Fatalf(format string, v ...any)  { l.line(slog.LevelError, format, v) }
func (l serverLog) Debugf(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }
func (l serverLog) Tracef(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }

func (l serverLog) line(level slog.Level, format string, v []any) {
	ctx := context.Background() // the server's lines belong to no request
	if l.logger.Enabled(ctx, level) {
		l.logger.Log(ctx, level, "nats server", "text", fmt.Sprintf(format, v...))
	}
}
