//go:build race

package subscribe_test

// slow says that everything takes ten times as long.
const slow = true
