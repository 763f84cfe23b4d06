package takeover

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// endGrace is how long a command may take to end once it was told to.
const endGrace = 30 * time.Second

// Command is what is run.
type Command struct {
	Args    []string
	Environ []string
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
}

// Run runs a command and returns its exit code, as a shell would. When ctx ends by a signal, the command gets that signal
// too, unless a terminal has given it to both.
func Run(ctx context.Context, c *Command) (int, error) {
	cmd, err := c.prepare()
	if err != nil {
		return 0, err
	}
	return run(ctx, cmd, dropRights)
}

func (c *Command) prepare() (*exec.Cmd, error) {
	path := c.Args[0]
	if found, err := exec.LookPath(path); err == nil {
		path = found
	} else if !errors.Is(err, exec.ErrDot) {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: c.Args, Env: c.Environ, Stdin: c.In, Stdout: c.Out, Stderr: c.Err}
	endWithParent(cmd)
	return cmd, nil
}

// run starts a command after something is done in the thread that starts it, and waits for it.
func run(ctx context.Context, cmd *exec.Cmd, before func() error) (int, error) {
	ended := make(chan error, 1)
	begun := make(chan error, 1)
	go func() {
		// A command has the rights of the thread that starts it, and ends when that does.
		runtime.LockOSThread()
		err := before()
		if err == nil {
			err = cmd.Start()
		}
		begun <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-begun; err != nil {
		return 0, err
	}
	select {
	case err := <-ended:
		return codeOf(cmd, err)
	case <-ctx.Done():
	}
	if s := signalOf(context.Cause(ctx)); s != os.Interrupt || !isTerminal(cmd.Stdin) {
		_ = cmd.Process.Signal(s) // it may have ended meanwhile
	}
	timer := time.NewTimer(endGrace)
	defer timer.Stop()
	select {
	case err := <-ended:
		return codeOf(cmd, err)
	case <-timer.C:
		_ = cmd.Process.Kill()
		return codeOf(cmd, <-ended)
	}
}

// codeOf returns the exit code of a command that has ended.
func codeOf(cmd *exec.Cmd, err error) (int, error) {
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		return 0, err
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// signalOf returns the signal that has ended a context (signal.NotifyContext says so in the cause), or an interrupt.
func signalOf(cause error) os.Signal {
	if cause != nil && strings.HasPrefix(cause.Error(), syscall.SIGTERM.String()) {
		return syscall.SIGTERM
	}
	return os.Interrupt
}

// isTerminal reports whether a command reads from a terminal, or something that is as much of a device.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

func nothing() error { return nil }
