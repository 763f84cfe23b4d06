//go:build unix

package deliver_test

import (
	"syscall"
	"time"
)

// cpuTime is what the whole process has used of its processors: client, engine and sink together.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
