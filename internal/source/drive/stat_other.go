//go:build !linux && !darwin && !windows

package drive

import "os"

// lookAt returns the facts of the entry itself: a symbolic link is not followed. Without an identity a rename
// looks like a removal and a new file.
func lookAt(path string) (facts, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return facts{}, err
	}
	return basics(info), nil
}
