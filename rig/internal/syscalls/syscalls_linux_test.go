// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package syscalls

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

func TestNumbersAndNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int32{"accept4": unix.SYS_ACCEPT4, "read": unix.SYS_READ, "futex": unix.SYS_FUTEX} {
		number, known := Number(name)
		assert.True(t, known, name)
		assert.Equal(t, want, number, name)
		back, known := Name(int(want))
		assert.True(t, known, name)
		assert.Equal(t, name, back)
	}
	_, known := Number("poll") // which arm64 lacks
	assert.True(t, known)
	_, known = Number("no_such_call")
	assert.False(t, known)
	for _, number := range []int{Absent, 9999} {
		_, known = Name(number)
		assert.False(t, known, number)
	}
}

// TestTableNamesEachCallOnce: names and numbers are unique, and what waits is known.
func TestTableNamesEachCallOnce(t *testing.T) {
	t.Parallel()
	names, numbers := map[string]bool{}, map[int32]bool{}
	for _, calls := range [][]call{common[:], legacy[:]} {
		for _, c := range calls {
			assert.False(t, names[c.name], c.name)
			assert.False(t, numbers[c.number] && c.number != Absent, "%s has a number that another call has", c.name)
			names[c.name], numbers[c.number] = true, true
		}
	}
	assert.Greater(t, len(names), 350)
	for _, w := range waits {
		assert.True(t, names[w.name], w.name)
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	w, waits := WaitOf(unix.SYS_EPOLL_PWAIT)
	assert.True(t, waits)
	assert.Equal(t, Wait{Milliseconds: 3}, w)
	_, waits = WaitOf(unix.SYS_GETPID)
	assert.False(t, waits)
	_, waits = WaitOf(Absent)
	assert.False(t, waits)
}
