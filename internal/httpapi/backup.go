package httpapi

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"

	"heliograph.dev"
)

// Backups writes everything that is kept, whole at one moment.
type Backups interface {
	Backup(ctx context.Context, w io.Writer) error
}

const (
	backupPart = 256 << 10
	// backupPause is how long a client may take for one part.
	backupPause = 2 * time.Minute
)

// backup streams a backup, one at a time. One that failed on the way lacks its end, by which everybody knows it.
func (a *API) backup(ctx context.Context, x *exchange) (answer, error) {
	select {
	case a.backingUp <- struct{}{}:
		defer func() { <-a.backingUp }()
	default:
		return answer{}, heliograph.Errorf(heliograph.Limited, "backup.running", "a backup is being made already")
	}
	header := http.Header{"Content-Type": {"application/vnd.heliograph.backup"}, "Cache-Control": {"no-store"}}
	if x.request.Method == http.MethodHead {
		return answer{status: http.StatusOK, header: header}, nil
	}
	w := &patientWriter{x: x, header: header}
	parts := bufio.NewWriterSize(w, backupPart)
	err := a.opts.Backups.Backup(ctx, parts)
	if err == nil {
		err = parts.Flush()
	}
	if w.begun { // too late for another answer
		x.err = err
		return answer{}, nil
	}
	return answer{}, err
}

// patientWriter gives the client its time for each part.
type patientWriter struct {
	x      *exchange
	header http.Header
	begun  bool
}

// Write sends a part.
func (w *patientWriter) Write(b []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.x.writer.Header().Set("Content-Type", w.header.Get("Content-Type"))
		w.x.writer.Header().Set("Cache-Control", w.header.Get("Cache-Control"))
	}
	w.x.takeTime(backupPause)
	return w.x.writer.Write(b)
}
