// Package batch reads Graph's JSON batches, many requests in the body of one (POST $batch), and runs them in an order
// that their dependencies allow. It knows nothing of HTTP: who calls it sends the requests.
//
// The form is OData's (JSON Format 4.01, section 19), as far as Graph has it: every request has an id of its own,
// compared without case, and may depend on earlier ones only. A batch is refused whole when it cannot be read; what is
// wrong with one request is that request's answer.
package batch

import (
	"fmt"
	"strings"
	"sync"

	"heliograph.dev"
	"heliograph.dev/internal/rawjson"
)

// Most is how many requests a batch may have.
const Most = 20

// Request is one request of a batch.
type Request struct {
	ID, Method, URL string
	Header          map[string]string
	Body            []byte // JSON. Nil: none
	After           []int  // the places in the batch of those that it depends on, all before its own
}

// FormatError says, beside Graph's own text, what is wrong with a batch.
type FormatError struct{ Problem string }

// Error names the problem.
func (e *FormatError) Error() string { return e.Problem }

// depth is how deep a body may be nested: what reads the body is stricter.
const depth = 40

// Read reads the body of a batch.
func Read(body []byte) ([]Request, error) {
	var (
		requests []Request
		needed   [][]string // by request: the ids that it depends on
		cursor   = rawjson.New(body, depth)
	)
	err := cursor.Object(func(name []byte) error {
		if string(name) != "requests" {
			_, err := cursor.Raw()
			return err
		}
		return cursor.Array(func(i int) error {
			if i == Most {
				return refuse("batch.most", "Number of requests inside batch exceeds the limit.", fmt.Sprintf("a batch has %d requests at most", Most))
			}
			r, after, err := readRequest(cursor)
			requests, needed = append(requests, r), append(needed, after)
			return err
		})
	})
	if err == nil {
		err = cursor.End()
	}
	switch {
	case heliograph.KindOf(err) == heliograph.Invalid: // it says what is wrong
		return nil, err
	case err != nil:
		return nil, badFormat(err.Error())
	case len(requests) == 0:
		return nil, badFormat(`a batch has one request at least, in "requests"`)
	}
	return requests, check(requests, needed)
}

// check looks at what must be so before any request is run, and finds those that each depends on.
func check(requests []Request, needed [][]string) error {
	places := make(map[string]int, len(requests))
	for i := range requests {
		r := &requests[i]
		if r.ID == "" || r.Method == "" || r.URL == "" {
			return badFormat(fmt.Sprintf("request %d: id, method and url are required", i))
		}
		for _, id := range needed[i] {
			place, isThere := places[strings.ToLower(id)]
			if !isThere {
				return refuse("batch.dependency", fmt.Sprintf("Invalid dependency for request Id %.100s.", r.ID),
					fmt.Sprintf("%.100q is the id of no earlier request", id))
			}
			r.After = append(r.After, place)
		}
		id := strings.ToLower(r.ID)
		if _, isThere := places[id]; isThere {
			return refuse("batch.id", fmt.Sprintf("Request Id %.100s has to be unique in a batch.", r.ID), "ids are compared without case")
		}
		places[id] = i
		if r.Body != nil && !r.hasHeader("Content-Type") {
			return refuse("batch.content_type", fmt.Sprintf("Write request with id '%.100s' does not contain a Content-Type header.", r.ID),
				"a request with a body needs the header")
		}
	}
	return nil
}

func (r *Request) hasHeader(name string) bool {
	for have := range r.Header {
		if strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

func readRequest(cursor *rawjson.Cursor) (r Request, after []string, err error) {
	err = cursor.Object(func(name []byte) (err error) {
		if cursor.Kind() == rawjson.Null {
			return cursor.Null()
		}
		switch string(name) {
		case "id":
			r.ID, err = cursor.Text()
		case "method":
			r.Method, err = cursor.Text()
		case "url":
			r.URL, err = cursor.Text()
		case "headers":
			r.Header = make(map[string]string)
			err = cursor.Object(func(name []byte) error {
				header := string(name)
				r.Header[header], err = cursor.Text()
				return err
			})
		case "body":
			r.Body, err = cursor.Raw()
		case "dependsOn":
			err = cursor.Array(func(int) error {
				id, err := cursor.Text()
				after = append(after, id)
				return err
			})
		default:
			_, err = cursor.Raw()
		}
		return err
	})
	return r, after, err
}

func badFormat(problem string) error {
	return refuse("batch.format", "Invalid batch payload format.", problem)
}

func refuse(rule, message, problem string) error {
	return &heliograph.Error{Kind: heliograph.Invalid, Rule: rule, Code: "BadRequest", Message: message, Err: &FormatError{problem}}
}

// Run calls do for every request, side by side, but each after those that it depends on, and returns what do gave, in
// the order of the requests. do says too whether its request went well. A request of which one that it depends on did
// not go well is given to do with that one's id, and is not to be sent.
func Run[T any](requests []Request, do func(r *Request, failed string) (T, bool)) []T {
	answers := make([]T, len(requests))
	well := make([]bool, len(requests))
	done := make([]chan struct{}, len(requests))
	for i := range done {
		done[i] = make(chan struct{})
	}
	var group sync.WaitGroup
	for i := range requests {
		group.Go(func() {
			defer close(done[i])
			failed := ""
			for _, before := range requests[i].After {
				<-done[before] // it stands before this one: nobody waits in a circle
				if !well[before] {
					failed = requests[before].ID
				}
			}
			answers[i], well[i] = do(&requests[i], failed)
		})
	}
	group.Wait()
	return answers
}
