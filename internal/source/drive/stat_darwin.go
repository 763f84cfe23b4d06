package drive

import (
	"os"
	"syscall"
)

// lookAt returns the facts of the entry itself: a symbolic link is not followed.
func lookAt(path string) (facts, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return facts{}, err
	}
	f := basics(info)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.node, f.links = st.Ino, uint64(st.Nlink)
		f.birth = st.Birthtimespec.Nano()
	}
	return f, nil
}
