//go:build !race

package subscribe_test

const slow = false
