package httpapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"heliograph.dev"
)

// body reads the request's body, unpacked, and no more of it than limit, packed or not.
func (x *exchange) body(limit int) ([]byte, error) {
	r := x.request
	if r.ContentLength > int64(limit) {
		return nil, bodyTooLarge(limit)
	}
	reader := io.Reader(http.MaxBytesReader(x.writer, r.Body, int64(limit)))
	packed, err := isPacked(r.Header)
	if err != nil {
		return nil, err
	}
	size := max(r.ContentLength, 0)
	if packed {
		unpacked, err := gzip.NewReader(reader)
		if err != nil {
			return nil, bodyUnreadable(err, limit)
		}
		reader, size = unpacked, size*4 // a guess, to begin with
	}
	var b bytes.Buffer
	b.Grow(int(min(size, int64(limit))) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(reader, int64(limit)+1))
	if err != nil {
		return nil, bodyUnreadable(err, limit)
	}
	if n > int64(limit) {
		return nil, bodyTooLarge(limit)
	}
	return b.Bytes(), nil
}

// isPacked reports whether the body is gzipped. The Go SDK packs every body.
func isPacked(header http.Header) (bool, error) {
	switch encoding := strings.ToLower(strings.Join(header.Values("Content-Encoding"), ",")); encoding {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip":
		return true, nil
	default:
		return false, &heliograph.Error{
			Kind: heliograph.Unsupported, Rule: "request.body.encoding",
			Message: "The request's Content-Encoding is not spoken here; use gzip or none.",
			Err:     &encodingError{encoding: encoding},
		}
	}
}

// encodingError is a Content-Encoding that is not spoken.
type encodingError struct{ encoding string }

// Error names the encoding.
func (e *encodingError) Error() string { return fmt.Sprintf("content encoding %.40q", e.encoding) }

func bodyTooLarge(limit int) error {
	return heliograph.Errorf(heliograph.TooLarge, "request.body.size", "The request's body is larger than %d bytes.", limit)
}

func bodyUnreadable(err error, limit int) error {
	if _, found := errors.AsType[*http.MaxBytesError](err); found {
		return bodyTooLarge(limit)
	}
	return &heliograph.Error{Kind: heliograph.Invalid, Rule: "request.body.read", Message: "The request's body could not be read.", Err: err}
}

// jsonBody reads the body of a call of control or of the Graph API.
func (x *exchange) jsonBody() ([]byte, error) {
	return x.jsonBodyOf(x.api.limits.RequestBytes)
}

// jsonBodyOf reads a body that is JSON and has so many bytes at most.
func (x *exchange) jsonBodyOf(limit int) ([]byte, error) {
	if err := wantJSON(x.request.Header.Get("Content-Type")); err != nil {
		if x.version != "" { // Graph's words and status, as seen in 2017 and 2019
			err.Err = &propertyError{problem: err.Message}
			err.Kind, err.Code, err.Message = heliograph.Invalid, "BadRequest", "Entity only allows writes with a JSON Content-Type header."
		}
		return nil, err
	}
	body, err := x.body(limit)
	if err == nil && len(bytes.TrimSpace(body)) == 0 {
		err = heliograph.Errorf(heliograph.Invalid, "request.body.empty", "Empty Payload. JSON content expected.")
	}
	return body, err
}

// wantJSON refuses a Content-Type that says something else than JSON in UTF-8. Saying nothing is fine.
func wantJSON(contentType string) *heliograph.Error {
	if contentType == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" && media != "text/json" {
		return heliograph.Errorf(heliograph.Unsupported, "request.content_type", "The request's Content-Type must be application/json.")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return heliograph.Errorf(heliograph.Unsupported, "request.content_type", "The request's charset must be UTF-8.")
	}
	return nil
}
