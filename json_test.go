package heliograph_test

import (
	"encoding/json"
	"strings"
	"testing"

	"heliograph.dev"
)

func FuzzAppendJSONString(f *testing.F) {
	for _, seed := range []string{"", "plain", `quo"te\`, "\x00\x1f\n", "ünïcode €😀", "\xff broken \xed\xa0\x80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := heliograph.AppendJSONString([]byte("before"), s)[len("before"):]
		var back string
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%q became %s: %v", s, text, err)
		}
		want, err := json.Marshal(s) // the standard library's idea of what is not UTF-8
		if err != nil {
			t.Fatal(err)
		}
		var std string
		if err := json.Unmarshal(want, &std); err != nil {
			t.Fatal(err)
		}
		if back != std || strings.ContainsRune(string(text), '\n') {
			t.Errorf("%q became %s, which reads %q, want %q", s, text, back, std)
		}
	})
}
