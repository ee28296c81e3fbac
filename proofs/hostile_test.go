// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/testserver"
	"forkrig/rig"
)

// Subjects that do harm, each in one way, when the last of the given number of clients
// has come, so that there is something to judge.
var hostiles = rig.Programs{
	"deaf": func(args []string) int {
		for s := syscall.Signal(1); s < 65; s++ {
			if s != syscall.SIGURG { // with which Go's scheduler interrupts its own threads
				signal.Ignore(s)
			}
		}
		return harmful(args, 3, func() {})
	},
	"naked": func(args []string) int {
		return harmful(args, 6, func() {
			for fd := range 1024 {
				_ = syscall.Close(fd)
			}
		})
	},
	"suicidal":  func(args []string) int { return harmful(args, 6, func() { _ = syscall.Kill(0, syscall.SIGKILL) }) },
	"murderous": func(args []string) int { return harmful(args, 3, func() { _ = syscall.Kill(-1, syscall.SIGKILL) }) },
	"bombing": func(args []string) int {
		return harmful(args, 1, func() {
			_ = exec.Command("sh", "-c", "bomb() { bomb | bomb & }; bomb; wait").Start()
		})
	},
	"flooding": func(args []string) int {
		return harmful(args, 3, func() {
			noise := bytes.Repeat([]byte("\x1b[2J\x00no line ends here"), 1<<10)
			for { // without end; the real thing is 1 GiB
				_, _ = os.Stdout.Write(noise)
			}
		})
	},
}

// harmful is an echo server that does harm as a client comes, and goes on to serve as
// far as it still can.
func harmful(args []string, client int, harm func()) int {
	var clients atomic.Int32
	return testserver.Run(args[2], func(conn net.Conn) { // after -listen
		if int(clients.Add(1)) == client {
			go harm()
		}
		testserver.Echo(conn)
	})
}

// hostile is what a check says of a subject that does harm.
type hostile struct {
	check string
	card  string // a line of the card, as a pattern
	says  string
}

// TestHostileSubjects judges subjects that do harm, as a user would, with the whole
// rig as a process of its own: it stays up, it says what happened, and when it has
// ended all is as it was before.
func TestHostileSubjects(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]hostile{
		"deaf":      {"term", "term +fail +fail", "it listens on after SIGTERM"},
		"naked":     {"backlog-burst", "backlog-burst +fail +fail", "of 100 clients"},
		"suicidal":  {"backlog-burst", "backlog-burst +fail +fail", "of 100 clients"},
		"murderous": {"backlog-burst", "pass 1: backlog-burst", ""}, // it can signal no process of another host
		// Whether it is busy without an end, or waits for the reader of its log, is up to the machine.
		"flooding": {"bytes-exact", "pass 1.*: bytes-exact|cause 1: the server is in a busy loop", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story.judge(t, name)
		})
	}
}

// TestForkBomb judges a subject that forks without end. No other test runs meanwhile: until the
// bomb is ended its thousands of processes hold locks of the kernel that every fork needs.
func TestForkBomb(t *testing.T) {
	// Where it was ended in the first conversation already, the family cannot be judged.
	hostile{"term", "term +fail|.*the subject cannot be judged", "exceeds the rig's limit"}.judge(t, "bombing", "-family", "4")
}

func (h hostile) judge(t *testing.T, name string, flags ...string) {
	t.Helper()
	lab := rig.New(t) // one more to be harmed
	sentinel := lab.NewHost("bystander").MustStart(rig.Exec("sleep", "1000"))
	before := outside(t)
	command := slices.Concat([]string{"judge", "-service", "echo", "-checks", h.check}, flags,
		[]string{"--", rig.Program(name).Args[0], "-listen", "{ip}:{port}"})
	output, err := forkrig(command...).CombinedOutput()
	if name != "flooding" {
		assert.Equal(t, strings.HasPrefix(h.card, "pass"), err == nil, "%v", err)
	}
	assert.Regexp(t, "(?m)^("+h.card+")", string(output))
	assert.Contains(t, string(output), h.says)
	assert.NotContains(t, string(output), "\x1b[2J", "its output is escaped")
	assert.Equal(t, before, outside(t))
	assert.True(t, sentinel.Running())
}

// outside is what a rig that runs here could have changed around itself.
func outside(t *testing.T) map[string]string {
	t.Helper()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	links, err := net.Interfaces()
	require.NoError(t, err)
	var mounts []string // but the disks of other tests, which run at the same time
	for line := range strings.Lines(read("/proc/self/mounts")) {
		if !strings.Contains(line, " "+os.TempDir()+"/") {
			mounts = append(mounts, line)
		}
	}
	return map[string]string{
		"mounts":  strings.Join(mounts, ""),
		"pid_max": read("/proc/sys/kernel/pid_max"),
		"links":   fmt.Sprint(links),
		"routes":  read("/proc/thread-self/net/route"),
		"host":    read("/proc/sys/kernel/hostname"),
	}
}
