package takeover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const tryTimeout = 20 * time.Second

// Way is how a command can be run in a namespace.
type Way struct {
	// Address is where on loopback the names are.
	Address string
	// OwnNetwork says that the command has a network of its own: nobody but root may listen on port 443 of the machine's.
	OwnNetwork bool
}

// Find returns how a command can be run in a namespace on this machine, or why it cannot. args start this program so that
// it calls Settle for the variable and ends: the only way to know is to try.
func Find(ctx context.Context, args []string, variable string, environ []string) (Way, error) {
	way := Way{OwnNetwork: true, Address: Addresses()[0]}
	for _, address := range Addresses() {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(address, Port))
		if err == nil {
			_ = l.Close()
			way = Way{Address: address}
			break
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	var said bytes.Buffer
	cmd := way.enter(args, SetEnv(environ, variable, TryText))
	cmd.Stdout, cmd.Stderr = &said, &said
	code, err := run(ctx, cmd, nothing)
	switch {
	case err != nil:
		return Way{}, fmt.Errorf("namespaces cannot be had here: %w", err)
	case code != 0:
		return Way{}, fmt.Errorf("namespaces cannot be had here: %s", strings.TrimSpace(said.String()))
	}
	return way, nil
}

// TryText is what the variable holds when Find tries.
const TryText = "try"

// Enter starts this program again, with args, in a namespace: there it is to call Settle. It returns its exit code. files
// are open there from descriptor 3 on.
func (w Way) Enter(ctx context.Context, c *Command, files ...*os.File) (int, error) {
	cmd := w.enter(c.Args, c.Environ)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = c.In, c.Out, c.Err, files
	return run(ctx, cmd, nothing)
}

func (w Way) enter(args, environ []string) *exec.Cmd {
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: args, Env: environ}
	endWithParent(cmd)
	flags := uintptr(unix.CLONE_NEWNS)
	if os.Geteuid() != 0 || !mayMount() {
		// Who may not mount, may in a user namespace. There it has the same ids, and rights within until it runs a command.
		flags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE}
	}
	if w.OwnNetwork {
		flags |= unix.CLONE_NEWNET
	}
	cmd.SysProcAttr.Cloneflags = flags
	return cmd
}

// mayMount reports whether this process may make a mount namespace as it is.
func mayMount() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// Settle makes the namespace that this process is in one where the names lead to an address. dir is for the files that
// this takes. Commands that Run starts afterwards have no right that the user has not.
func (w Way) Settle(dir string, names []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, f := range []struct {
		path string
		with func(old string) string
	}{
		{"/etc/hosts", func(old string) string { return Hosts(old, w.Address, names) }},
		{"/etc/nsswitch.conf", NameService},
	} {
		if err := replace(dir, f.path, f.with); err != nil {
			return err
		}
	}
	// What answers for all of the machine knows the old names.
	for _, socket := range []string{"/run/nscd/socket", "/var/run/nscd/socket"} {
		if _, err := os.Stat(socket); err == nil {
			if err := unix.Mount(os.DevNull, socket, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("cover %s: %w", socket, err)
			}
		}
	}
	if w.OwnNetwork {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("bring the loopback interface up: %w", err)
		}
	}
	return nil
}

// dropRights gives up, for this thread and the commands that it starts, the rights that Settle needs.
func dropRights() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("give up rights: %w", err)
	}
	return nil
}

// replace puts a changed copy in the place of a file, for this namespace.
func replace(dir, path string, with func(old string) string) error {
	old, err := os.ReadFile(path) //nolint:gosec // two files of the system
	if errors.Is(err, fs.ErrNotExist) && path != "/etc/hosts" {
		return nil // nothing says otherwise
	}
	if err != nil {
		return err
	}
	copied := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(copied, []byte(with(string(old))), 0o644); err != nil { //nolint:gosec // as the system's is
		return err
	}
	if err := unix.Mount(copied, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put another %s in its place: %w", path, err)
	}
	return nil
}

func loopbackUp() (err error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(socket)) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo)
}

// endWithParent ends a command when this process ends.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
