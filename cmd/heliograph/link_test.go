package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// journal keeps a node's log, and where the node answers now.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	file io.Writer // a copy, for who looks on
	url  atomic.Pointer[string]
}

// Write takes a part of the log.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		_, _ = j.file.Write(b)
	}
	return j.text.Write(b)
}

// link is a way from one node to another that can be cut: then what is on it ends, and nothing gets through.
type link struct {
	address, to string
	off         atomic.Bool
	mu          sync.Mutex
	open        map[net.Conn]bool
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{address: listener.Addr().String(), to: to, open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut(true)
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(near)
		}
	}()
	return l
}

func (l *link) carry(near net.Conn) {
	defer func() { _ = near.Close() }()
	if l.off.Load() {
		return
	}
	far, err := new(net.Dialer).DialContext(context.Background(), "tcp", l.to)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	l.mu.Lock()
	l.open[near], l.open[far] = true, true
	l.mu.Unlock()
	if l.off.Load() {
		return
	}
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			done <- struct{}{}
		}()
	}
	<-done
	l.mu.Lock()
	delete(l.open, near)
	delete(l.open, far)
	l.mu.Unlock()
}

// cut cuts the way, or opens it again.
func (l *link) cut(off bool) {
	l.off.Store(off)
	if !off {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.Close()
	}
}
