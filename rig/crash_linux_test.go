// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig/internal/program"
	"forkrig/rig/internal/sandbox"
)

// crashing dies of the signal in its second argument, or starts itself and waits for
// that to die, as often as the first says.
func crashing(args []string) int {
	generations, err := strconv.Atoi(args[1])
	if err != nil {
		return 2
	}
	s, err := strconv.Atoi(args[2])
	if err != nil {
		return 2
	}
	if generations == 0 {
		var byDefault [4]uint64 // struct sigaction of the kernel, with SIG_DFL
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
		if args[0] == program.Arg0("deepcrash") {
			*nowhere = 1 // the kernel logs it, unlike a signal that was sent
		}
		_ = unix.Kill(os.Getpid(), unix.Signal(s)) // which does not return
	}
	child := exec.Command("/proc/self/exe", strconv.Itoa(generations-1), args[2])
	child.Args[0] = args[0]
	_ = child.Run()
	return 0
}

var nowhere *int

// crashOf tells a story of a process that crashes.
func crashOf(t *testing.T, s syscall.Signal, expect func(*Lab)) Outcome {
	t.Helper()
	return Try(t, func(tb testing.TB) {
		lab := New(tb)
		expect(lab)
		p := lab.NewHost("h").MustStart(Program("crashing", "0", strconv.Itoa(int(s))))
		_, err := p.Wait(tb.Context())
		require.NoError(tb, err)
	})
}

func expectNothing(*Lab) {}

func TestCrashOfAProcessFailsItsTest(t *testing.T) {
	t.Parallel()
	for s, crash := range map[syscall.Signal]bool{
		syscall.SIGSEGV: true, syscall.SIGBUS: true, syscall.SIGABRT: true, syscall.SIGSYS: true,
		syscall.SIGTERM: false, syscall.SIGPIPE: false, syscall.SIGKILL: false,
	} {
		t.Run(SignalName(s), func(t *testing.T) {
			t.Parallel()
			outcome := crashOf(t, s, expectNothing)
			assert.Equal(t, crash, outcome.Failed, outcome.Log)
			if crash {
				assert.Contains(t, outcome.Log, fmt.Sprintf("crashed: signal %d (%v) ended it, which the rig did not send", int(s), s))
			}
		})
	}
}

func TestExpectedCrash(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expect func(*Lab)
		failed bool
	}{
		"any":           {func(l *Lab) { l.ExpectCrash() }, false},
		"this one":      {func(l *Lab) { l.ExpectCrash(syscall.SIGABRT) }, false},
		"two":           {func(l *Lab) { l.ExpectCrash(syscall.SIGSEGV); l.ExpectCrash(syscall.SIGABRT) }, false},
		"only another":  {func(l *Lab) { l.ExpectCrash(syscall.SIGSEGV) }, true},
		"none of these": {func(l *Lab) { l.ExpectCrash(syscall.SIGTERM) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcome := crashOf(t, syscall.SIGABRT, c.expect)
			assert.Equal(t, c.failed, outcome.Failed, outcome.Log)
		})
	}
}

// TestCrashSignalOfTheRigIsNoCrash sends it in each way that the rig has.
func TestCrashSignalOfTheRigIsNoCrash(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(testing.TB, *Process){
		"to a process": func(tb testing.TB, p *Process) { require.NoError(tb, p.Signal(syscall.SIGABRT)) },
		"to all": func(tb testing.TB, p *Process) {
			_, err := p.Host.Lab().SignalAll(syscall.SIGABRT, p.Itself())
			require.NoError(tb, err)
		},
		"in a storm": func(tb testing.TB, p *Process) {
			_, err := p.Host.Lab().StartStorm(Storm{Signals: []syscall.Signal{syscall.SIGABRT}, Targets: []Target{p.Itself()}})
			require.NoError(tb, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			NeedPrograms(t, "sleep")
			p := New(t).NewHost("h").MustStart(Exec("sleep", "1000"))
			send(t, p)
			exit, err := p.Wait(t.Context())
			require.NoError(t, err)
			assert.Equal(t, syscall.SIGABRT, exit.Signal)
		})
	}
}

// deepEnv makes TestDeepCrash tell its story.
const deepEnv = "FORKRIG_TEST_DEEP_CRASH"

// TestDeepCrash is what TestCrashFurtherDownIsTold runs in a sandbox of its own.
func TestDeepCrash(t *testing.T) {
	if os.Getenv(deepEnv) == "" {
		t.Skip("TestCrashFurtherDownIsTold runs it")
	}
	lab := New(t)
	if os.Getenv(deepEnv) == "expected" {
		lab.ExpectCrash()
	}
	p := lab.NewHost("h").MustStart(Program("deepcrash", "2", strconv.Itoa(int(syscall.SIGSEGV))))
	exit, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.True(t, exit.Success(), exit.String())
}

func TestCrashFurtherDownIsTold(t *testing.T) {
	t.Parallel()
	if logged == nil {
		_, err := watchCrashes()
		SkipIfMissing(t, err)
	}
	for mode, expected := range map[string]bool{"unexpected": false, "expected": true} {
		var output []byte
		var err error
		// A test beside this one whose lab expects a crash just then has our line forgiven, too: see
		// crashWatch.read. It is tried again.
		require.NoError(t, Await(t.Context(), "a crash in the kernel's log", func() (bool, string, error) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestDeepCrash$")
			cmd.Env = append(sandbox.WithoutPrivateEnv(os.Environ()), deepEnv+"="+mode)
			output, err = cmd.CombinedOutput()
			// Our own run reads the same log.
			logged.mu.Lock()
			defer logged.mu.Unlock()
			logged.read(nil)
			before := len(logged.found)
			logged.found = slices.DeleteFunc(logged.found, func(line string) bool { return strings.Contains(line, "deepcrash[") })
			return before > len(logged.found), string(output), nil
		}), mode)
		require.NoError(t, err, string(output))
		assert.Contains(t, string(output), "PASS\n", mode)
		if expected {
			continue
		}
		assert.Regexp(t, `after the tests: a process of this program crashed, .*deepcrash\[\d+\]: .* of TestDeepCrash`, string(output))
	}
}
