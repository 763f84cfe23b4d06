package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"heliograph.dev"
)

// What nodes say to each other without keeping it: nudges, and calls that another node answers. It is sealed as what is
// stored: who is let into the same NATS account learns and forges nothing.

const (
	nudgeSubject = "heliograph.nudge"
	callPrefix   = "heliograph.call."
	refusal      = "Heliograph-Refused"
)

// Nudge tells all other nodes to look at the notes.
func (e *Engine) Nudge() {
	_ = e.conn.Publish(nudgeSubject, nil) // they look by themselves too, a little later
}

// Nudged calls hear whenever a node nudges, this one too, until the engine is closed.
func (e *Engine) Nudged(hear func()) error {
	_, err := e.conn.Subscribe(nudgeSubject, func(*nats.Msg) { hear() })
	if err != nil {
		return unavailable(fmt.Errorf("listen to the other nodes: %w", err))
	}
	return nil
}

// refused is an error on its way between nodes.
type refused struct {
	Kind    heliograph.Kind `json:"kind"`
	Rule    string          `json:"rule"`
	Message string          `json:"message"`
}

// Answer answers the calls of other nodes to this one, until the engine is closed.
func (e *Engine) Answer(node string, answer func(ctx context.Context, method string, request []byte) ([]byte, error)) error {
	_, err := e.conn.Subscribe(callPrefix+node+".*", func(m *nats.Msg) {
		e.start(func() { e.answerOne(m, len(callPrefix+node+"."), answer) })
	})
	if err != nil {
		return unavailable(fmt.Errorf("listen to the other nodes: %w", err))
	}
	return nil
}

func (e *Engine) answerOne(m *nats.Msg, before int, answer func(context.Context, string, []byte) ([]byte, error)) {
	reply := &nats.Msg{Header: nats.Header{}}
	request, err := e.vault.OpenInPlace(m.Data, m.Subject)
	if err == nil {
		ctx, cancel := context.WithTimeout(e.life, getTimeout)
		reply.Data, err = answer(ctx, m.Subject[before:], request)
		cancel()
	}
	if err == nil {
		reply.Data, err = e.vault.Seal(nil, reply.Data, m.Subject+m.Reply)
	}
	if err != nil {
		told := refused{Kind: heliograph.KindOf(err), Message: "another node could not answer"}
		if known, ok := errors.AsType[*heliograph.Error](err); ok {
			told.Rule, told.Message = known.Rule, known.Message
		}
		text, _ := json.Marshal(told) //nolint:errchkjson // texts and a number: nothing can fail
		reply.Header.Set(refusal, string(text))
		reply.Data = nil
	}
	_ = m.RespondMsg(reply) // who asked is gone, or waits in vain: it says so
}

// Call asks another node. Its error is the one that the other answered with, or Unavailable.
func (e *Engine) Call(ctx context.Context, node, method string, request []byte) ([]byte, error) {
	subject := callPrefix + node + "." + method
	sealed, err := e.vault.Seal(nil, request, subject)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", node, err)
	}
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	m := &nats.Msg{Subject: subject, Data: sealed}
	reply, err := e.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return nil, unavailable(fmt.Errorf("call %s of node %s: %w", method, node, err))
	}
	if text := reply.Header.Get(refusal); text != "" {
		var told refused
		if err := json.Unmarshal([]byte(text), &told); err != nil {
			return nil, fmt.Errorf("call %s of node %s: %w", method, node, err)
		}
		return nil, &heliograph.Error{Kind: told.Kind, Rule: told.Rule, Message: told.Message}
	}
	answer, err := e.vault.OpenInPlace(reply.Data, subject+reply.Subject)
	if err != nil {
		return nil, fmt.Errorf("call %s of node %s: %w", method, node, err)
	}
	return answer, nil
}
