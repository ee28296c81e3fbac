package rig

import (
	"os"
	"path/filepath"
	"testing"
)

// Programs maps names to the main functions of helper programs that live in
// the test binary itself, so that one static file is the whole rig. A program
// gets its arguments as in os.Args (args[0] is its name) and returns its exit
// status. See [Program] for how a host starts one.
type Programs map[string]func(args []string) int

// programPrefix marks, in argv[0], a process that is a helper program of this
// binary. argv[0] and not the environment carries it, because an environment
// would be inherited by whatever the program starts.
const programPrefix = "forkrig:"

// Main runs the tests of m inside a sandbox and ends the process with their
// exit status. Call it as the whole of TestMain:
//
//	func TestMain(m *testing.M) { rig.Main(m, rig.Programs{"server": forkserver.Main}) }
//
// The sandbox is a set of fresh mount, PID, network, UTS and IPC namespaces,
// and a user namespace where the process lacks CAP_SYS_ADMIN. Its first process
// is a small init that reaps orphans; the tests run in init's child. Inside,
// TMPDIR is a file system of its own. When the process that called Main dies,
// by whatever cause, the kernel ends every process of the sandbox and frees
// its namespaces, mounts and temporary files.
//
// Main ends with status 1 and one line that names the cause and the remedy
// where the kernel forbids the sandbox. It also ends with status 1 when the
// tests passed and left something behind in the sandbox: a process, a network
// namespace held open, a thread in a foreign namespace.
//
// Results of a package that calls Main are never taken from go test's cache:
// their input is the kernel, which the cache cannot see.
func Main(m *testing.M, programs Programs) {
	if run, ok := programs[programName(os.Args[0])]; ok {
		os.Exit(run(os.Args))
	}
	os.Exit(runInSandbox(m.Run))
}

// programName returns the name of the helper program that argv0 asks for, or
// "" where argv0 is an ordinary path.
func programName(argv0 string) string {
	if len(argv0) > len(programPrefix) && argv0[:len(programPrefix)] == programPrefix {
		return argv0[len(programPrefix):]
	}
	return ""
}

// binaryName is how messages call the test binary.
func binaryName() string { return filepath.Base(os.Args[0]) }
