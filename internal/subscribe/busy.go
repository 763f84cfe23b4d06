package subscribe

import (
	"math"
	"sync/atomic"
	"time"
)

// forever is until when a loop rests that has nothing ahead.
const forever = math.MaxInt64

// rest is until when a loop rests: a moment in Unix nanoseconds, less than 0 while it is about to, 0 while it works.
type rest struct{ until atomic.Int64 }

// work notes that the loop works.
func (r *rest) work() { r.until.Store(0) }

// begin notes that the loop is about to rest until a moment. settle has it rest, unless reached was called meanwhile.
func (r *rest) begin(at int64)  { r.until.Store(-at) }
func (r *rest) settle(at int64) { r.until.CompareAndSwap(-at, at) }

// reached notes that the moment has come. One that comes late for the loop, which rests until another by now, is nothing.
func (r *rest) reached(at int64) {
	_ = r.until.CompareAndSwap(-at, 0) || r.until.CompareAndSwap(at, 0)
}

// Busy reports whether something is to be done for a subscription now, or is being done: a clock that is moved does not
// go on meanwhile. It is so before Tend has begun, and as long as Tend does not know of a step that has come to be the
// next one.
func (s *Service) Busy() bool {
	next := int64(forever)
	if at, ok := s.options.Registry.nextStep(); ok {
		next = at.UnixNano()
	}
	rests := s.rest.until.Load()
	return rests <= 0 || rests > next
}

// restUntil asks the clock for a signal at a moment; nil, for ever. stop is to be called once the loop goes on.
func (s *Service) restUntil(at *time.Time) (woken chan struct{}, stop func()) {
	if at == nil {
		s.rest.until.Store(forever)
		return nil, s.rest.work // nil stays silent
	}
	woken = make(chan struct{}, 1)
	moment := at.UnixNano()
	s.rest.begin(moment)
	cancel := s.options.Clock.At(*at, func() {
		s.rest.reached(moment)
		signal(woken)
	})
	s.rest.settle(moment)
	return woken, func() {
		s.rest.work()
		cancel()
	}
}
