// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"forkrig/rig/internal/clock"
	"forkrig/rig/internal/machine"
	"forkrig/rig/internal/population"
	"forkrig/rig/internal/program"
	"forkrig/rig/internal/sandbox"
)

// Programs maps names to the main functions of helper programs that live in
// the test binary itself, so that one static file is the whole rig. A program
// gets its arguments as in os.Args (args[0] is its name) and returns its exit
// status. See [Program] for how a host starts one. A program that only waits
// must wait for something, such as a signal: without cgo the Go runtime takes an
// empty select for a deadlock.
type Programs map[string]func(args []string) int

// Main runs the tests of m inside a sandbox and ends the process with their
// exit status. Call it as the whole of TestMain:
//
//	func TestMain(m *testing.M) { rig.Main(m, rig.Programs{"server": forkserver.Main}) }
//
// The sandbox is a set of fresh mount, PID, network, UTS and IPC namespaces,
// and a user namespace where the process lacks CAP_SYS_ADMIN. Its first process
// is a small init that reaps orphans; the tests run in init's child. Inside,
// TMPDIR is a file system of its own. When the process that called Main or the
// tests die, by whatever cause, every process of the sandbox ends, and its
// namespaces, mounts and temporary files are freed at once. Should init itself
// be killed, the same happens, but namespaces whose connections can no longer
// finish stay, invisible, until the kernel's timers end those.
//
// Main ends with status 1 and one line that names the cause and the remedy
// where the kernel forbids the sandbox. It also ends with status 1 when the
// tests passed and left something behind in the sandbox: a process, a network
// namespace held open, a thread in a foreign namespace.
//
// Results of a package that calls Main are never taken from go test's cache:
// their input is the kernel, which the cache cannot see.
//
// m is a *testing.M, or something around one that does more before or after the
// tests run, such as looking at flags.
func Main(m interface{ Run() int }, programs Programs) {
	Dispatch(programs)
	os.Args = testArgs(os.Args)
	os.Exit(statusOf(sandboxed(m.Run)))
}

// statusOf is the exit status of a test binary, which prints why there is no sandbox.
func statusOf(status int, err error) int {
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %v\n", err)
		return 1
	}
	return status
}

// testsPerProcessor is how many tests run side by side on each processor that is not slow.
const testsPerProcessor = 5

// testArgs returns the arguments for the tests: those of the outer process
// without -test.testlogfile, and with a higher -test.parallel where none is
// given. Without that log go test does not cache the result, and it must not:
// the result depends on the kernel. And tests in labs wait more than they
// compute, so one for each processor, the default, leaves processors idle. On a processor that
// is emulated they compute more, and so many would starve each other.
func testArgs(args []string) []string {
	kept := []string{args[0]}
	if !slices.ContainsFunc(args, isParallel) { // else it is given, or this is the inner process
		kept = append(kept, fmt.Sprintf("-test.parallel=%d", machine.Measure().AtOnce(testsPerProcessor)*runtime.GOMAXPROCS(0)))
	}
	for _, arg := range args[1:] {
		if !strings.HasPrefix(arg, "-test.testlogfile") {
			kept = append(kept, arg)
		}
	}
	return kept
}

func isParallel(arg string) bool {
	return strings.HasPrefix(strings.TrimLeft(arg, "-"), "test.parallel")
}

// Dispatch is what a program that drives labs calls first, before it looks at its
// arguments. Where the process was started as one of the helper programs, or as the
// sandbox's init, Dispatch runs that and ends the process. Otherwise it returns.
// A test binary calls [Main], which does this.
func Dispatch(programs Programs) {
	withBuiltins(programs).runIfAsked()
	if sandbox.IsInit() {
		os.Exit(statusOf(sandboxed(nil)))
	}
}

// Sandboxed runs f inside a sandbox and returns its exit status: see [Main] for what
// a sandbox is and how it ends. It starts this program again, with the same
// arguments; there the call of Sandboxed is the one that calls f. The program has
// called [Dispatch] before. A signal that the outer process gets is passed on to the
// one that runs f. The error names the cause and the remedy where the kernel forbids the
// sandbox; f was not called then.
//
// SIGQUIT is left to f, where [Main] has the watchdog and the runtime print what they know.
func Sandboxed(f func() int) (status int, err error) {
	return sandboxed(func() int {
		dog.ignoreQuit()
		return f()
	})
}

func sandboxed(f func() int) (status int, err error) {
	if err := CheckEnvironment(); err != nil {
		return 0, err
	}
	return runInSandbox(func() int { return runAndAudit(f) })
}

// CheckEnvironment returns what is wrong with the environment variables that a person sets:
// [TimeScaleEnv], FORKRIG_WATCHDOG and [SeedEnv].
func CheckEnvironment() error {
	if _, err := timeScale(); err != nil {
		return err
	}
	if _, err := watchdogLimit(); err != nil {
		return err
	}
	_, err := seedFromEnv()
	return err
}

// knownPrograms are those that this binary contains, as it contains its tests.
// Set by Main, before the first test runs.
var knownPrograms Programs

// check says whether the binary contains the program.
func (programs Programs) check(name string) error {
	if programs[name] != nil {
		return nil
	}
	given := maps.Clone(programs)
	maps.DeleteFunc(given, func(name string, _ func([]string) int) bool { return strings.HasPrefix(name, program.Builtin) })
	return fmt.Errorf("no program called %q was given to rig.Main, only %v", name, slices.Sorted(maps.Keys(given)))
}

// runIfAsked runs the helper program that argv[0] asks for, under that name,
// and ends the process with its exit status.
func (programs Programs) runIfAsked() {
	knownPrograms = programs
	name := program.Name(os.Args[0])
	if name == "" || name == sandbox.Init {
		return
	}
	if err := programs.check(name); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %v\n", err)
		os.Exit(2)
	}
	program.SetProcessName(name)
	os.Exit(programs[name](os.Args))
}

// Rootless says whether the sandbox was made without root. It has one user then,
// who is called root in it and is not.
func Rootless() bool { return !manyUsers() }

// withBuiltins returns the programs of the user and those of the rig.
func withBuiltins(programs Programs) Programs {
	all := Programs{population.Program: population.Main, clock.Program: clock.Main(explainStartError), hogProgram: hogMain, ambientProgram: ambientMain}
	maps.Copy(all, programs)
	return all
}

// Announce returns where a person sees what a passing test binary writes.
// That is standard output, except under go test without -v, which throws away
// what a passing package wrote: then it is go test's own standard error, where
// the kernel allows to open it (a terminal or a pipe).
func Announce() *os.File {
	if !testing.Testing() || testing.Verbose() {
		return os.Stdout
	}
	if output := sandbox.InvokerOutput(); output != nil {
		return output
	}
	return os.Stdout
}

// FromInvoker returns the path as the person meant it who started the tests: go
// test changes to the directory of the package, but a relative path on its
// command line counts from where it was typed.
func FromInvoker(path string) string { return sandbox.FromInvoker(path) }
