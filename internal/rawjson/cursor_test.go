package rawjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"heliograph.dev/internal/rawjson"
)

const depth = 8

// whole reads text as one value of any kind.
func whole(text string) ([]byte, error) {
	c := rawjson.New([]byte(text), depth)
	raw, err := c.Raw()
	if err != nil {
		return nil, err
	}
	return raw, c.End()
}

func TestRawTakesWhatIsJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`, `[]`, `null`, `true`, `false`, `""`, `0`, `-0`, `12.50e+3`, ` {"a" : [ 1 , {"b":"\u00e9\n\"\\\/"} ] } `,
		`"é€😀"`, `[[[[[[[[]]]]]]]]`, `{"a":1,"a":2}`, `"\ud800"`,
	} {
		raw, err := whole(text)
		if err != nil || string(raw) != strings.TrimSpace(text) {
			t.Errorf("%s: %s, %v", text, raw, err)
		}
	}
}

func TestRawRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                   "expected a value, found the end of the text at byte 0",
		` nul`:               "expected null, found 'n' at byte 1",
		`01`:                 "expected the end, found '1' at byte 1",
		`1.`:                 "expected a digit, found the end of the text at byte 2",
		`-`:                  "expected a digit, found the end of the text at byte 1",
		`1e`:                 "expected a digit, found the end of the text at byte 2",
		`+1`:                 "expected a value, found '+' at byte 0",
		`[1,]`:               "expected a value, found ']' at byte 3",
		`[,1]`:               "expected a value, found ',' at byte 1",
		`[1 2]`:              "expected ',' or ']', found '2' at byte 3",
		`{"a":1,}`:           "expected a value, found '}' at byte 7",
		`{"a" 1}`:            "expected ':', found '1' at byte 5",
		`{a:1}`:              "expected a string, found 'a' at byte 1",
		`{"a":}`:             "expected a value, found '}' at byte 5",
		`{"a":1`:             "expected ',' or '}', found the end of the text at byte 6",
		`"a`:                 "expected '\"', found the end of the text at byte 2",
		"\"a\nb\"":           "expected a character of a string, found '\\n' at byte 2",
		`"\x41"`:             "expected an escape, found 'x' at byte 2",
		`"\u12g4"`:           "expected a hexadecimal digit, found 'g' at byte 5",
		`{} {}`:              "expected the end, found '{' at byte 3",
		"\"\xff\"":           "invalid UTF-8 at byte 1",
		"{\"é\":\"a\xc3\"}":  "invalid UTF-8 at byte 8",
		`[[[[[[[[[]]]]]]]]]`: "nested too deeply at byte 8",
		"\ufeff{}":           "expected a value, found '\\ufeff' at byte 0",
		"\x00":               "expected a value, found '\\x00' at byte 0",
		`{"a":{"b":tru}}`:    "expected true, found 't' at byte 10",
		`/* no */ {}`:        "expected a value, found '/' at byte 0",
		`{"a":"b"}` + "\x00": "expected the end, found '\\x00' at byte 9",
	} {
		_, err := whole(text)
		var syntax *rawjson.SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestObjectNames(t *testing.T) {
	t.Parallel()
	many := `{"n0":0`
	for i := range 40 {
		many += `,"x` + strings.Repeat("y", i) + `":0`
	}
	tests := map[string]string{
		`{"a":1,"A":2,"\u0062":3}`: "",
		`{"a":1,"a":2}`:            `the name "a" for the second time at byte 7`,
		`{"a":1,"\u0061":2}`:       `the name "a" for the second time at byte 7`,
		`{"":1}`:                   "",
		`{"\ud800":1}`:             "half a surrogate pair in the string at byte 1",
		`[]`:                       "expected an object, found '[' at byte 0",
		many + `}`:                 "",
		many + `,"xyyyy":1}`:       `the name "xyyyy" for the second time at byte 1028`,
		many + `,"x` + strings.Repeat("y", 39) + `":1}`: `the name "x` + strings.Repeat("y", 39) + `" for the second time at byte 1028`,
	}
	for text, want := range tests {
		c := rawjson.New([]byte(text), depth)
		err := c.Object(func([]byte) error { _, err := c.Raw(); return err })
		if got := message(err); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestObjectVisitorThatReadsNothingIsRefused(t *testing.T) {
	t.Parallel()
	c := rawjson.New([]byte(`{"a":1}`), depth)
	if err := c.Object(func([]byte) error { return nil }); err == nil {
		t.Error("a value was passed over unseen")
	}
}

func TestTypedReads(t *testing.T) {
	t.Parallel()
	c := rawjson.New([]byte(`{"s":"a\ud83d\ude00\"\\\/\b\f\n\r\tb","t":true,"f":false,"n":null,"l":["x","y"]}`), depth)
	var words []string
	err := c.Object(func(name []byte) error {
		switch string(name) {
		case "s":
			s, err := c.Text()
			if s != "a😀\"\\/\b\f\n\r\tb" {
				t.Errorf("s = %q", s)
			}
			return err
		case "t", "f":
			b, err := c.Bool()
			if b != (string(name) == "t") {
				t.Errorf("%s = %v", name, b)
			}
			return err
		case "l":
			return c.Array(func(i int) error {
				s, err := c.Text()
				if words = append(words, s); i != len(words)-1 {
					t.Errorf("element %d seen as %d", len(words)-1, i)
				}
				return err
			})
		}
		return c.Null()
	})
	if err != nil || strings.Join(words, "") != "xy" {
		t.Errorf("%v, %v", words, err)
	}
}

func TestWrongKindIsNamed(t *testing.T) {
	t.Parallel()
	for text, read := range map[string]func(*rawjson.Cursor) error{
		"expected a string, found '7' at byte 1":  func(c *rawjson.Cursor) error { _, err := c.Text(); return err },
		"expected a boolean, found '7' at byte 1": func(c *rawjson.Cursor) error { _, err := c.Bool(); return err },
		"expected null, found '7' at byte 1":      func(c *rawjson.Cursor) error { return c.Null() },
		"expected an array, found '7' at byte 1":  func(c *rawjson.Cursor) error { return c.Array(nil) },
		"expected an object, found '7' at byte 1": func(c *rawjson.Cursor) error { return c.Object(nil) },
		"expected the end, found '7' at byte 1":   func(c *rawjson.Cursor) error { return c.End() },
	} {
		if err := read(rawjson.New([]byte(" 7"), depth)); message(err) != text {
			t.Errorf("%q, want %q", message(err), text)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzRaw holds the cursor against encoding/json: what it takes, the library takes; what the library takes, it
// takes too, but for depth and UTF-8; and it reads the same text from a string.
func FuzzRaw(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e3,null,true,"\u00e9"]}`, `"\ud83d\ude00"`, `[[[[[[[[[]]]]]]]]]`, "\"\xff\"", `{"a":1,"a":1}`, `"\ud800"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := whole(text)
		valid := json.Valid([]byte(text))
		if err == nil {
			if !valid {
				t.Fatalf("took %q", text)
			}
			var v any
			if err := json.Unmarshal(raw, &v); err != nil {
				t.Fatalf("%q: %v", raw, err)
			}
			if want, isText := v.(string); isText && !bytes.ContainsRune(raw, '\\') {
				if got, err := rawjson.New([]byte(text), depth).Text(); err != nil || got != want {
					t.Fatalf("%q: %q, %v", text, got, err)
				}
			}
			return
		}
		if valid && !strings.Contains(err.Error(), "nested too deeply") && !strings.Contains(err.Error(), "invalid UTF-8") {
			t.Fatalf("refused %q: %v", text, err)
		}
	})
}

// FuzzText holds what a string with escapes means against encoding/json.
func FuzzText(f *testing.F) {
	for _, seed := range []string{`a\"b`, `\u00e9`, `\ud83d\ude00`, `\ud800`, `\ud800\u0061`, `\/\b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		got, err := rawjson.New([]byte(`"`+inner+`"`), depth).Text()
		if err != nil {
			return
		}
		var want string
		if err := json.Unmarshal([]byte(`"`+inner+`"`), &want); err != nil {
			// Text stops at the first closing quote; what follows is End's to refuse.
			if !strings.Contains(inner, `"`) {
				t.Fatalf("took %q: %v", inner, err)
			}
			return
		}
		if got != want {
			t.Fatalf("%q: got %q, want %q", inner, got, want)
		}
	})
}

func BenchmarkRaw(b *testing.B) {
	text := []byte(`{"id":"AAMkAGI2","subject":"Hello","body":{"content":"` + strings.Repeat("lorem ipsum ", 80) +
		`"},"importance":"high","list":[1,2,3.5,null,true]}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rawjson.New(text, depth).Raw(); err != nil {
			b.Fatal(err)
		}
	}
}
