package takeover

import (
	"errors"
	"net"
	"sync"
)

// merged takes connections of two listeners.
type merged struct {
	net.Listener // whose address it has

	other net.Listener
	conns chan accepted
	ended chan struct{}
	end   sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// Merge returns a listener that takes the connections of two, and has the address of the first.
func Merge(first, second net.Listener) net.Listener {
	m := &merged{Listener: first, other: second, conns: make(chan accepted), ended: make(chan struct{})}
	for _, l := range []net.Listener{first, second} {
		go m.pass(l)
	}
	return m
}

func (m *merged) pass(l net.Listener) {
	for {
		conn, err := l.Accept()
		select {
		case m.conns <- accepted{conn, err}:
			if err != nil {
				return
			}
		case <-m.ended:
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
	}
}

// Accept returns the next connection of either.
func (m *merged) Accept() (net.Conn, error) {
	select {
	case a := <-m.conns:
		return a.conn, a.err
	case <-m.ended:
		return nil, net.ErrClosed
	}
}

// Close closes both.
func (m *merged) Close() error {
	m.end.Do(func() { close(m.ended) })
	return errors.Join(m.Listener.Close(), m.other.Close())
}
