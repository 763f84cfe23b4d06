package engine

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

var (
	errClosed = errors.New("engine is closed")

	// ErrReaderClosed is what a closed FrameReader answers.
	ErrReaderClosed = errors.New("reader is closed")
)

// Codes of the JetStream API that nats.go does not name.
const (
	codeAccountResources  jetstream.ErrorCode = 10002
	codeNoPeers           jetstream.ErrorCode = 10005
	codeNotAvailable      jetstream.ErrorCode = 10008
	codeNotLeader         jetstream.ErrorCode = 10009
	codeInsufficient      jetstream.ErrorCode = 10023
	codeMemoryExceeded    jetstream.ErrorCode = 10028
	codeStorageExceeded   jetstream.ErrorCode = 10047
	codeInUse             jetstream.ErrorCode = 10058
	codeStoreFailed       jetstream.ErrorCode = 10077
	codeStreamBytes       jetstream.ErrorCode = 10122
	codeDuplicateComing   jetstream.ErrorCode = 10158
	codeIncompleteBatch   jetstream.ErrorCode = 10176
	codeDuplicateInBatch  jetstream.ErrorCode = 10201
	codeTooManyBatches    jetstream.ErrorCode = 10210
	statusUnavailable                         = 503
	statusTooManyRequests                     = 429
)

// What callers are told when a change cannot be taken for now.
const (
	retryWhenUnavailable = 5 * time.Second
	retryWhenLimited     = 10 * time.Second
	retryWhenFull        = time.Minute
)

func unavailable(cause error) *heliograph.Error {
	return &heliograph.Error{
		Kind: heliograph.Unavailable, Rule: "engine.unavailable", Message: "the store does not answer",
		RetryAfter: retryWhenUnavailable, Err: cause,
	}
}

func limited(cause error) *heliograph.Error {
	return &heliograph.Error{
		Kind: heliograph.Limited, Rule: "engine.log_limit", Message: "the change log has reached its size limit",
		RetryAfter: retryWhenLimited, Err: cause,
	}
}

func full(cause error) *heliograph.Error {
	return &heliograph.Error{
		Kind: heliograph.Full, Rule: "engine.disk_full", Message: "there is no room on the disk",
		RetryAfter: retryWhenFull, Err: cause,
	}
}

// failedWrite is for a write that the disk refused, of which NATS tells the text only.
func failedWrite(cause error) *heliograph.Error {
	text := strings.ToLower(cause.Error())
	for _, said := range []string{"no space left", "not enough space", "quota exceeded"} { // Unix, Windows, both
		if strings.Contains(text, said) {
			return full(cause)
		}
	}
	return unavailable(cause)
}

func conflict(cause error) *heliograph.Error {
	return &heliograph.Error{
		Kind: heliograph.Conflict, Rule: "engine.revision", Message: "the record has changed meanwhile", Err: cause,
	}
}

// verdict is what an error of a publish means for the next step.
type verdict int

const (
	unknown  verdict = iota // it may be stored or not: trying the same publish again is safe, since it is named
	rejected                // not stored, and will not be
	delayed                 // not stored, may be the next time
)

// judge turns an error of a publish into what the caller is told, and what to do.
func judge(err error) (*heliograph.Error, verdict) {
	var api jetstream.JetStreamError
	if !errors.As(err, &api) || api.APIError() == nil {
		if errors.Is(err, nats.ErrReconnectBufExceeded) {
			return unavailable(err), delayed
		}
		return unavailable(err), unknown
	}
	answer := api.APIError()
	switch answer.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant, codeDuplicateInBatch:
		return conflict(err), rejected
	case codeStoreFailed:
		if strings.HasPrefix(answer.Description, "maximum ") { // the stream's own limit, with DiscardNew
			return limited(err), rejected
		}
		return failedWrite(err), rejected
	case codeAccountResources, codeInsufficient, codeMemoryExceeded, codeStorageExceeded, codeStreamBytes:
		return full(err), rejected
	case codeIncompleteBatch, codeTooManyBatches, codeNotLeader:
		return unavailable(err), delayed
	case codeDuplicateComing: // an earlier try is on its way
		return unavailable(err), unknown
	default:
		if answer.Code == statusUnavailable || answer.Code == statusTooManyRequests {
			return unavailable(err), delayed
		}
		return &heliograph.Error{Kind: heliograph.Internal, Rule: "engine.refused", Message: "the store refused", Err: err}, rejected
	}
}

// answerOf reports whether an error is an answer of JetStream with one of these codes.
func answerOf(err error, codes ...jetstream.ErrorCode) bool {
	var api jetstream.JetStreamError
	return errors.As(err, &api) && api.APIError() != nil && slices.Contains(codes, api.APIError().ErrorCode)
}
