package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
)

// TestKillLosesNothing kills a process that writes, and reads back whatever it said was written.
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 3 {
		told := writeAndKill(t, dir, 10)
		e := open(t, at(t, dir))
		for seq, n := range told.frames {
			f, err := e.Frame(t.Context(), seq)
			if err != nil || f.Changes[0].ID != changes(n, 1, 0)[0].ID {
				t.Errorf("round %d: frame %d: %v", round, seq, err)
			}
		}
		for name, rev := range told.records {
			if r, err := e.Get(t.Context(), tenant, name); err != nil || r.Revision != rev {
				t.Errorf("round %d: record %s: revision %d, want %d; %v", round, name, r.Revision, rev, err)
			}
		}
		for seq := range told.parked {
			if m, err := hold(e, 0).Parked(t.Context(), "https://example.com", seq, 1); err != nil || len(m) != 1 || m[0].Sequence != seq || m[0].Err != nil {
				t.Errorf("round %d: parked %d: %v, %v", round, seq, m, err)
			}
		}
		shut(t, e)
	}
}

// acknowledged is what the child said that it had written.
type acknowledged struct {
	frames  map[uint64]int
	records map[string]uint64
	parked  map[uint64]bool
}

// writeAndKill kills the child when it has written in each way so many times.
func writeAndKill(t *testing.T, dir string, times int) acknowledged {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childFolder+"="+dir)
	child.Stderr = t.Output()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	told := acknowledged{map[uint64]int{}, map[string]uint64{}, map[uint64]bool{}}
	scanner := bufio.NewScanner(out)
	killed := false
	for scanner.Scan() {
		told.read(t, scanner.Text())
		if !killed && min(len(told.frames), len(told.records), len(told.parked)) >= times {
			killed = true
			if err := child.Process.Kill(); err != nil { // and read on what was said until then
				t.Error(err)
			}
		}
	}
	if child.Wait() == nil || !killed {
		t.Error("the child ended by itself")
	}
	return told
}

// read takes a whole line only: the kill may have cut the last one.
func (a acknowledged) read(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if len(words) != 4 || words[3] != "." {
		return
	}
	number, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	switch words[0] {
	case "frame":
		if a.frames[number], err = strconv.Atoi(words[2]); err != nil {
			t.Fatal(err)
		}
	case "record":
		a.records[words[2]] = number
	case "parked":
		a.parked[number] = true
	}
}

// writeUntilKilled is the child: it writes in every way and says what it was told is written.
func writeUntilKilled(dir string) {
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Options{Dir: dir, Vault: keysIn(dir)})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return
	}
	fail := make(chan error, 3)
	go func() { fail <- writeFrames(ctx, e) }()
	go func() { fail <- writeRecords(ctx, e) }()
	go func() { fail <- writeParked(ctx, e) }()
	_, _ = fmt.Fprintln(os.Stderr, <-fail)
}

func writeFrames(ctx context.Context, e *engine.Engine) error {
	for n := 0; ; n++ {
		seq, err := e.Append(ctx, 0, changes(n, 1+n%50, 500))
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(os.Stdout, "frame %d %d .\n", seq, n)
	}
}

func writeRecords(ctx context.Context, e *engine.Engine) error {
	for n := 0; ; n++ {
		first, second := "sub."+heliograph.NewGUID().String(), "uniq."+heliograph.NewGUID().String()
		rev, err := e.Commit(ctx, tenant, []heliograph.Write{{Name: first, Value: []byte("x")}, {Name: second, Value: []byte("y")}})
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(os.Stdout, "record %d %s .\nrecord %d %s .\n", rev-1, first, rev, second)
	}
}

func writeParked(ctx context.Context, e *engine.Engine) error {
	for n := 0; ; n++ {
		seq, err := hold(e, 0).Park(ctx, "https://example.com", []heliograph.ParkedRef{{Attempts: uint32(n)}})
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(os.Stdout, "parked %d - .\n", seq)
	}
}
