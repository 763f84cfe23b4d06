package drive

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// lookAt returns the facts of the entry itself: a link or junction is not followed.
func lookAt(path string) (facts, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return facts{}, err
	}
	f := basics(info)
	if data, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		f.birth = data.CreationTime.Nanoseconds()
	}
	if f.kind == other {
		return f, nil
	}
	f.node, f.links = fileIndex(path)
	return f, nil
}

// fileIndex returns the file's number and how many names it has. Both are 0 when it cannot be opened just now:
// then a rename of it looks like a removal and a new file.
func fileIndex(path string) (index, links uint64) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, 0
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	const flags = windows.FILE_FLAG_BACKUP_SEMANTICS | windows.FILE_FLAG_OPEN_REPARSE_POINT
	handle, err := windows.CreateFile(name, 0, share, nil, windows.OPEN_EXISTING, flags, 0)
	if err != nil {
		return 0, 0
	}
	defer func() { _ = windows.CloseHandle(handle) }() // nothing was written through it
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(handle, &info); err != nil {
		return 0, 0
	}
	return uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow), uint64(info.NumberOfLinks)
}
