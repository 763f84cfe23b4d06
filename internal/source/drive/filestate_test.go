package drive_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/source/drive"
)

func load(t *testing.T, path string) []string {
	t.Helper()
	records, err := drive.NewFileState(path).Load()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range records {
		all = append(all, string(r))
	}
	return all
}

func TestFileState(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	s := drive.NewFileState(path)
	defer func() { _ = s.Close() }()
	check := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, load(t, path)); diff != "" {
			t.Error(diff)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check()
	must(s.Replace([]byte("whole")))
	must(s.Append([]byte("one")))
	must(s.Append([]byte("")))
	check("whole", "one", "")
	must(s.Replace([]byte("whole again")))
	check("whole again")
	must(s.Append([]byte("two")))
	must(s.Close())
	must(s.Append([]byte("three")))
	check("whole again", "two", "three")
	if s.Append([]byte("a\nb")) == nil || s.Replace([]byte("a\nb")) == nil {
		t.Error("took a record of two lines")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// The machine may stop while a record is written: at any byte.
func TestFileStateCutOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	s := drive.NewFileState(path)
	for _, record := range []string{"first", "second"} {
		if err := s.Append([]byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.IndexByte(whole, '\n') + 1
	for size := second; size < len(whole); size++ {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s := drive.NewFileState(path)
		if records, err := s.Load(); err != nil || len(records) != 1 {
			t.Fatalf("cut at %d: %q, %v", size, records, err)
		}
		if err := s.Append([]byte("third")); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"first", "third"}, load(t, path)); diff != "" {
			t.Fatalf("cut at %d: %s", size, diff)
		}
	}
}

func TestDamagedState(t *testing.T) {
	t.Parallel()
	dir, good := folders(t)
	mkdir(t, dir, "folder")
	write(t, dir, "folder", "file", "x")
	if err := run(t, dir, good, drive.Options{}).stop(); err != nil {
		t.Fatal(err)
	}
	snapshot := load(t, good)[0]
	for name, test := range map[string]struct {
		records []string
		says    string
	}{
		"not JSON":              {[]string{"hello"}, "record 0"},
		"another version":       {[]string{strings.Replace(snapshot, `"version":1`, `"version":2`, 1)}, "version 2 is not known here"},
		"no snapshot":           {[]string{`{"done":true}`}, "version 0"},
		"no root":               {[]string{`{"version":1,"drive":"` + driveID(snapshot) + `"}`}, "it has no root"},
		"another drive":         {[]string{strings.Replace(snapshot, driveID(snapshot), "x", 1)}, "another user's drive"},
		"an unknown folder":     {[]string{snapshot, `{"steps":[{"put":{"id":"11111111-1111-1111-1111-111111111111","in":"22222222-2222-2222-2222-222222222222","modified":1,"created":1}}]}`}, "is in no known folder"},
		"a name that leads out": {[]string{strings.Replace(snapshot, `"name":"file"`, `"name":"../file"`, 1)}, "cannot be called"},
		"an unknown item":       {[]string{snapshot, `{"steps":[{"remove":"11111111-1111-1111-1111-111111111111"}]}`}, "cannot be removed"},
		"nothing":               {[]string{snapshot, `{"steps":[{}]}`}, "does nothing"},
		"a step after a step":   {[]string{snapshot, `{"steps":[]}`, `{"steps":[{"remove":"zz"}]}`}, "record 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := drive.NewFileState(filepath.Join(t.TempDir(), "state"))
			defer func() { _ = state.Close() }()
			for _, r := range test.records {
				if err := state.Append([]byte(r)); err != nil {
					t.Fatal(err)
				}
			}
			d, err := drive.New(defaults(drive.Options{State: state, Publish: refuse(t)}, dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("ended: %v, want %q", err, test.says)
			}
		})
	}

	t.Run("a line in the middle", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "state")
		state := drive.NewFileState(path)
		for _, record := range []string{"first", "second"} {
			if err := state.Append([]byte(record)); err != nil {
				t.Fatal(err)
			}
		}
		_ = state.Close()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, strings.Replace(string(data), "first", "fir5t", 1))
		if _, err := drive.NewFileState(path).Load(); err == nil || !strings.Contains(err.Error(), "damaged in line 1") {
			t.Errorf("err = %v", err)
		}
	})
}

func driveID(snapshot string) string {
	_, rest, _ := strings.Cut(snapshot, `"drive":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// Whatever is in the file: it is refused, or gives records that give the same again.
func FuzzFileState(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("00000000 \n"))
	f.Add([]byte("c0ffee00 x\n00000000 \nhalf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := drive.NewFileState(path)
		records, err := s.Load()
		if err != nil {
			return
		}
		if err := s.Append([]byte("more")); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := drive.NewFileState(path).Load()
		if err != nil || len(again) != len(records)+1 || string(again[len(records)]) != "more" || !slices.EqualFunc(records, again[:len(records)], bytes.Equal) {
			t.Errorf("%q, then %q, %v", records, again, err)
		}
	})
}

// Whatever is remembered: it is refused, or the drive goes on from it and remembers the same.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"drive":"D","items":[{"id":"11111111-1111-1111-1111-111111111111","folder":true,"modified":1,"created":1},`+
		`{"id":"22222222-2222-2222-2222-222222222222","in":"11111111-1111-1111-1111-111111111111","name":"a","modified":1,"created":1}]}`),
		[]byte(`{"steps":[{"put":{"id":"22222222-2222-2222-2222-222222222222","in":"11111111-1111-1111-1111-111111111111","rawName":"/w==","modified":2,"created":1}},{"remove":"22222222-2222-2222-2222-222222222222"}]}`))
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o600); err != nil {
		f.Fatal(err)
	}
	own := heliograph.DeriveGUID("drive", string(tenant), string(user)).String()
	f.Fuzz(func(t *testing.T, snapshot, steps []byte) {
		state := &memory{records: [][]byte{bytes.ReplaceAll(snapshot, []byte(`"D"`), []byte(`"`+own+`"`)), steps}}
		opts := defaults(drive.Options{State: state}, dir)
		opts.Publish = func(_ context.Context, _ []heliograph.Change) error { return nil }
		d, err := drive.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		defer cancel()
		select {
		case <-d.Ready():
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		case err := <-ended:
			if err == nil {
				t.Error("ended by itself")
			}
		}
	})
}
