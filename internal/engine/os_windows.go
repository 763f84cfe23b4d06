package engine

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// freeBytes returns what this user may still write to the disk of dir.
func freeBytes(dir string) (uint64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return free, nil
}

// syncFolder does nothing: NTFS journals its renames and has no way to ask for more.
func syncFolder(string) error { return nil }
