package httpapi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/rawjson"
)

// shape lists the properties that a request's body may have.
type shape[T any] []property[T]

// property is one of them, and how its value gets into T.
type property[T any] struct {
	name string
	kind rawjson.Kind
	read func(*T, *rawjson.Cursor) error
}

func text[T any](name string, field func(*T) *string) property[T] {
	return property[T]{name, rawjson.String, func(t *T, c *rawjson.Cursor) (err error) {
		*field(t), err = c.Text()
		return err
	}}
}

func secret[T any](name string, field func(*T) *heliograph.Secret) property[T] {
	return property[T]{name, rawjson.String, func(t *T, c *rawjson.Cursor) error {
		s, err := c.Text()
		*field(t) = heliograph.NewSecret(s)
		return err
	}}
}

// optional is a text that may be absent, which is not the same as empty.
func optional[T any](name string, field func(*T) **string) property[T] {
	return property[T]{name, rawjson.String, func(t *T, c *rawjson.Cursor) error {
		s, err := c.Text()
		*field(t) = &s
		return err
	}}
}

func boolean[T any](name string, field func(*T) **bool) property[T] {
	return property[T]{name, rawjson.Bool, func(t *T, c *rawjson.Cursor) error {
		b, err := c.Bool()
		*field(t) = &b
		return err
	}}
}

func number[T any](name string, field func(*T) **float64) property[T] {
	return property[T]{name, rawjson.Number, func(t *T, c *rawjson.Cursor) error {
		raw, err := c.Raw()
		if err != nil {
			return err
		}
		n, err := strconv.ParseFloat(string(raw), 64)
		*field(t) = &n
		return err
	}}
}

func texts[T any](name string, field func(*T) *[]string) property[T] {
	return property[T]{name, rawjson.Array, func(t *T, c *rawjson.Cursor) error {
		*field(t) = []string{} // an empty list is not an absent one
		return c.Array(func(int) error {
			s, err := c.Text()
			*field(t) = append(*field(t), s)
			return err
		})
	}}
}

// ignored is a property that a client may send and the server does not look at, such as a read-only one (OData
// 4.01, part 1, section 11.4.3).
func ignored[T any](name string) property[T] {
	return property[T]{name, rawjson.Invalid, func(_ *T, c *rawjson.Cursor) error {
		_, err := c.Raw()
		return err
	}}
}

// bodyDepth is how deep annotations and ignored properties may be nested.
const bodyDepth = 32

// decode reads a body. What is wrong with it is a *propertyError behind an error with the message given.
func (s shape[T]) decode(body []byte, message string) (T, error) {
	var t T
	cursor := rawjson.New(body, bodyDepth)
	err := s.walk(cursor, &t)
	if err == nil {
		err = cursor.End()
	}
	if err == nil {
		return t, nil
	}
	property, found := errors.AsType[*propertyError](err)
	if !found {
		property = &propertyError{problem: err.Error()}
	}
	return t, &heliograph.Error{Kind: heliograph.Invalid, Rule: "request.body", Message: message, Err: property}
}

func (s shape[T]) walk(cursor *rawjson.Cursor, t *T) error {
	return cursor.Object(func(name []byte) error {
		kind := cursor.Kind()
		switch p := s.find(string(name)); {
		case p != nil && kind != rawjson.Null && kind != rawjson.Invalid:
			if p.kind != rawjson.Invalid && p.kind != kind {
				return &propertyError{name: p.name, problem: fmt.Sprintf("is %v and must be %v", kind, p.kind)}
			}
			return p.read(t, cursor)
		case p == nil && !strings.Contains(string(name), "@"):
			return &propertyError{name: string(name), problem: "is not known" + s.hint(string(name))}
		default:
			_, err := cursor.Raw()
			return err
		}
	})
}

func (s shape[T]) find(name string) *property[T] {
	for i := range s {
		if s[i].name == name {
			return &s[i]
		}
	}
	return nil
}

// hint names the property that a name comes close to.
func (s shape[T]) hint(name string) string {
	for i := range s {
		if strings.EqualFold(s[i].name, name) {
			return "; it is spelled " + s[i].name
		}
	}
	return ""
}

// propertyError says what is wrong with a body, for the Heliograph-Detail header: Graph's text does not tell.
type propertyError struct{ name, problem string }

// Error names the property and its problem.
func (e *propertyError) Error() string {
	if e.name == "" {
		return e.problem
	}
	return fmt.Sprintf("%.60q %s", e.name, e.problem)
}
