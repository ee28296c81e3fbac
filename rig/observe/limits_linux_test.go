// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// recordedLimits is the begin of /proc/PID/limits as Linux 6.18 wrote it.
const recordedLimits = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max open files            1024                 1048576              files     
Max nice priority         0                    0                    
`

func TestParseLimits(t *testing.T) {
	limits, err := parseLimits(recordedLimits)
	require.NoError(t, err)
	assert.Equal(t, Limits{"RLIMIT_CPU": {Unlimited, Unlimited}, "RLIMIT_NOFILE": {1024, 1048576}, "RLIMIT_NICE": {}}, limits)
	for _, text := range []string{"", "x\n", "Max open files            many                 1\n", "Max open files            1\n"} {
		_, err := parseLimits(text)
		assert.ErrorContains(t, err, "parse the limits", text)
	}
}

func FuzzParseLimits(f *testing.F) {
	f.Add(recordedLimits)
	f.Fuzz(func(t *testing.T, text string) {
		if limits, err := parseLimits(text); (err == nil) != (len(limits) > 0) {
			t.Errorf("%q: %v with error %v", text, limits, err)
		}
	})
}

// TestReadIdentity compares what is read with what the process itself is told.
func TestReadIdentity(t *testing.T) {
	limits, err := ReadLimits(os.Getpid())
	require.NoError(t, err)
	assert.Len(t, limits, len(limitNames))
	var want unix.Rlimit
	require.NoError(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &want)) // package syscall tells another one
	assert.Equal(t, Limit{want.Cur, want.Max}, limits["RLIMIT_NOFILE"])
	uid, err := ReadUser(os.Getpid())
	require.NoError(t, err)
	assert.Equal(t, os.Geteuid(), int(uid))
	path, err := ReadProgram(os.Getpid())
	require.NoError(t, err)
	assert.Equal(t, filepath.Base(os.Args[0]), filepath.Base(path))
	for _, status := range []string{"", "Uid:\n", "Uid:\t1\n", "Uid:\t1\tx\t1\t1\n", "Gid:\t1\t1\t1\t1\n"} {
		_, err := parseUser([]byte(status))
		assert.Error(t, err, status)
	}
	uid, err = parseUser([]byte("Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"))
	require.NoError(t, err)
	assert.Equal(t, uint32(2), uid)
}
