package deliver

import (
	"context"
	"errors"
	"sync"

	"heliograph.dev"
)

// changeCache keeps the frames that drains read last: neighbours in a backlog stand in the same frames.
type changeCache struct {
	log    Log
	mu     sync.Mutex
	frames [16]*frame
	oldest int
}

// get returns a frame of the log, or nil when it can no longer be read. What it returns is never settled: no
// cursor waits for it.
func (c *changeCache) get(ctx context.Context, sequence uint64) (*frame, error) {
	c.mu.Lock()
	for _, f := range c.frames {
		if f != nil && f.Sequence == sequence {
			c.mu.Unlock()
			return f, nil
		}
	}
	c.mu.Unlock()
	read, err := c.log.Frame(ctx, sequence)
	var unreadable Unreadable
	switch {
	case heliograph.KindOf(err) == heliograph.NotFound, errors.As(err, &unreadable):
		return nil, nil //nolint:nilnil // that it is lost is an answer, not a failure
	case err != nil:
		return nil, err
	}
	f := &frame{Frame: read}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames[c.oldest] = f
	c.oldest = (c.oldest + 1) % len(c.frames)
	return f, nil
}

// Unreadable is an error about one frame that stands in the log and cannot be read.
type Unreadable interface {
	error
	// FrameSequence tells which.
	FrameSequence() uint64
}
