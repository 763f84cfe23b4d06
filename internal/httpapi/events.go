package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliveries"
)

// Follower is the book of deliveries for those who want to see what comes.
type Follower interface {
	// Follow returns what came after a place, of that which the caller may see.
	Follow(caller *heliograph.Caller, after deliveries.ID, q deliveries.Query) deliveries.Tail
}

const (
	mostStreams = 256              // streams at a time: each is a connection and a goroutine
	streamBeat  = 15 * time.Second // a stream that says nothing for longer may be taken for dead by what lies between
	streamWrite = 30 * time.Second // within which a client must take what is sent to it
)

// streams are the answers that go on until somebody ends them.
type streams struct {
	end   chan struct{}
	once  sync.Once
	slots chan struct{}
}

func newStreams() *streams {
	return &streams{end: make(chan struct{}), slots: make(chan struct{}, mostStreams)}
}

// EndStreams ends the answers that go on and on, and lets no new ones begin: a server that is about to stop would wait
// for them. It may be called more than once.
func (a *API) EndStreams() { a.streams.once.Do(func() { close(a.streams.end) }) }

// events streams deliveries as they are made, as server-sent events.
func (a *API) events(ctx context.Context, x *exchange) (answer, error) {
	q, err := readDeliveries(x)
	if err != nil {
		return answer{}, err
	}
	var after deliveries.ID
	if text := x.request.Header.Get("Last-Event-Id"); text != "" {
		var ok bool
		if after, ok = heliograph.ParseGUID(text); !ok {
			return answer{}, heliograph.Errorf(heliograph.Invalid, "events.last_event_id", "Last-Event-ID is not the id of an event: %.60q", text)
		}
	}
	select {
	case a.streams.slots <- struct{}{}:
		defer func() { <-a.streams.slots }()
	default:
		return answer{}, heliograph.Errorf(heliograph.Limited, "events.streams", "there are %d streams already", mostStreams)
	}
	header := http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-store"}, "X-Accel-Buffering": {"no"}}
	if x.request.Method == http.MethodHead {
		return answer{status: http.StatusOK, header: header}, nil
	}
	maps.Copy(x.writer.Header(), header)
	s := &stream{x: x}
	s.run(ctx, after, q)
	return answer{}, nil
}

// stream is one client's.
type stream struct {
	x      *exchange
	broken bool // the client is gone, or does not read
}

// run tells of deliveries until the client goes, the server stops, or what the caller may see is to be asked anew
// because its token has ended.
func (s *stream) run(ctx context.Context, after deliveries.ID, q deliveries.Query) {
	a := s.x.api
	s.say("", "hello", struct {
		Now string `json:"now"`
	}{stamp(a.opts.Now())})
	for {
		tail := a.opts.Follower.Follow(s.x.caller, after, q)
		if tail.Missed > 0 {
			s.say("", "missed", map[string]uint64{"deliveries": tail.Missed})
		}
		for i := range tail.Deliveries {
			d := &tail.Deliveries[i]
			s.say(d.ID.String(), "delivery", viewOf(d, false))
		}
		after = tail.At
		s.flush()
		if s.broken || !s.wait(ctx, tail.More) {
			return
		}
	}
}

// wait returns when there is more, and reports whether to go on. Meanwhile it lets the client know now and then that
// the stream is alive, and what time it is.
func (s *stream) wait(ctx context.Context, more <-chan struct{}) bool {
	a := s.x.api
	for {
		beat := make(chan struct{})
		stop := clock.System().At(clock.System().Now().Add(streamBeat), func() { close(beat) })
		select {
		case <-more:
			stop()
			return true
		case <-ctx.Done():
			stop()
			return false
		case <-a.streams.end:
			stop()
			s.say("", "bye", map[string]string{"why": "the server is stopping"})
			s.flush()
			return false
		case <-beat:
		}
		if !a.opts.Now().Before(s.x.caller.Expires) {
			s.say("", "bye", map[string]string{"why": "the token has ended"})
			s.flush()
			return false
		}
		s.say("", "now", map[string]string{"now": stamp(a.opts.Now())})
		if s.flush(); s.broken {
			return false
		}
	}
}

// say writes one event.
func (s *stream) say(id, event string, data any) {
	if s.broken {
		return
	}
	text, err := json.Marshal(data)
	if err != nil {
		s.x.err, s.broken = err, true
		return
	}
	s.x.takeTime(streamWrite)
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, err = fmt.Fprintf(s.x.writer, "%sevent: %s\ndata: %s\n\n", id, event, text)
	s.broken = err != nil
}

func (s *stream) flush() {
	if !s.broken {
		s.broken = http.NewResponseController(s.x.writer).Flush() != nil
	}
}
