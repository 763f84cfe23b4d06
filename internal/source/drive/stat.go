package drive

import (
	"errors"
	"io/fs"
	"syscall"
)

// kind is what an entry of a folder is. Only files and folders become items.
type kind uint8

const (
	other kind = iota // a symbolic link, a socket, a device: not followed, not an item
	file
	folder
)

// identity is what stays the same when an entry is renamed or moved. A number is used again after its file was
// removed; the time of birth tells the two apart where the file system keeps it.
type identity struct {
	node  uint64
	birth int64 // Unix nanoseconds, 0 when not known
}

// sameAs reports whether two identities are one, as far as is known.
func (id identity) sameAs(another identity) bool {
	return id == another || id.node == 0 || another.node == 0
}

// facts are what the file system says of an entry.
type facts struct {
	identity
	kind     kind
	size     int64
	modified int64  // Unix nanoseconds
	links    uint64 // names of the same file, 0 when not known
}

// isMissing reports whether an error says that a path leads nowhere.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func kindOf(mode fs.FileMode) kind {
	switch {
	case mode.IsRegular():
		return file
	case mode.IsDir():
		return folder
	}
	return other
}

// basics are the facts that every system tells in the same way.
func basics(info fs.FileInfo) facts {
	return facts{kind: kindOf(info.Mode()), size: info.Size(), modified: info.ModTime().UnixNano()}
}
