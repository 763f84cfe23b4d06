package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var powerCuts = flag.Int("power.cuts", 0, "how often TestPowerCut cuts the power; it needs root and loop devices")

// TestPowerCut is the other half of the promise: not only the process dies, but all of the disk's cache with it. The data
// folder is on an ext4 of its own that is shut down at random moments, by the means that file systems are tested with:
// from then on every call fails, and what was not synced is gone when it is mounted again. Everything that was
// acknowledged is there, as after a kill; and once the disk is gone nothing is acknowledged any more.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	if *powerCuts == 0 {
		t.Skip("not asked for: -power.cuts says how often (make test-power)")
	}
	d := makeDisk(t)
	c := newCampaign(t, d.dir)
	for round, next := 0, 0; round < *powerCuts; round++ {
		next = c.round(next, *crashRound, func() { d.cut(t, c) })
		c.server.kill(t)
		d.mountAgain(t, c)
		c.start()
	}
	c.check()
}

// disk is a file system of its own, in a file.
type disk struct{ dir, image string }

func makeDisk(t *testing.T) *disk {
	t.Helper()
	folder := t.TempDir()
	d := &disk{dir: filepath.Join(folder, "mnt"), image: filepath.Join(folder, "disk.img")}
	for _, command := range []string{
		"truncate -s 4G " + d.image, "mkfs.ext4 -q -F " + d.image, "mkdir " + d.dir,
	} {
		do(t, command)
	}
	if err := d.mount(); err != nil {
		t.Skipf("a file system cannot be mounted here (root and loop devices are needed): %v", err)
	}
	t.Cleanup(func() { do(t, "umount "+d.dir) })
	do(t, "rmdir "+filepath.Join(d.dir, "lost+found"))
	return d
}

// mount mounts the disk so that nothing is written back for its own sake: what is not synced is not there.
func (d *disk) mount() error {
	return command("mount -o loop,commit=3600 " + d.image + " " + d.dir)
}

// shutDown is FS_IOC_SHUTDOWN, and at once its flag to leave even the journal unwritten.
const (
	shutDown   = 0x8004587d
	noLogFlush = 2
)

// cut takes the disk away from a server that runs on for a moment. Of a sync that is under way at that very moment, ext4
// may say that it succeeded though it did not.
func (d *disk) cut(t *testing.T, c *campaign) {
	t.Helper()
	f, err := os.Open(d.dir)
	c.cutting.Store(true)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), shutDown, noLogFlush)
		_ = f.Close()
	}
	if err != nil {
		t.Fatalf("shut the file system down: %v", err)
	}
	c.dark.Store(true)
	<-time.After(300 * time.Millisecond)
}

func (d *disk) mountAgain(t *testing.T, c *campaign) {
	t.Helper()
	do(t, "umount "+d.dir)
	if err := d.mount(); err != nil {
		t.Fatal(err)
	}
	c.cutting.Store(false)
	c.dark.Store(false)
}

func do(t *testing.T, line string) {
	t.Helper()
	if err := command(line); err != nil {
		t.Fatal(err)
	}
}

func command(line string) error {
	words := strings.Fields(line)
	out, err := exec.CommandContext(context.Background(), words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}
