package drive

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// lookAt returns the facts of the entry itself: a symbolic link is not followed.
func lookAt(path string) (facts, error) {
	var st unix.Statx_t
	err := statx(path, &st)
	switch {
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM): // an old kernel, or a sandbox
		return lookWithoutBirth(path)
	case err != nil:
		return facts{}, &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	f := facts{
		identity: identity{node: st.Ino},
		size:     int64(st.Size), //nolint:gosec // no file is that large
		modified: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec),
		links:    uint64(st.Nlink),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.kind = file
	case unix.S_IFDIR:
		f.kind = folder
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		f.birth = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return f, nil
}

func statx(path string, st *unix.Statx_t) error {
	for {
		err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_BTIME, st)
		if !errors.Is(err, unix.EINTR) { // some network file systems are interrupted
			return err
		}
	}
}

func lookWithoutBirth(path string) (facts, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return facts{}, err
	}
	f := basics(info)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.node, f.links = st.Ino, uint64(st.Nlink) //nolint:unconvert,nolintlint // its width depends on the architecture
	}
	return f, nil
}
