// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Announce returns where a person sees what a passing test binary writes.
// That is standard output, except under go test without -v, which throws away
// what a passing package wrote: then it is go test's own standard error, where
// the kernel allows to open it (a terminal or a pipe).
func Announce() *os.File {
	if !testing.Testing() || testing.Verbose() {
		return os.Stdout
	}
	if output := announceFile(); output != nil {
		return output
	}
	return os.Stdout
}

// FromInvoker returns the path as the person meant it who started the tests: go
// test changes to the directory of the package, but a relative path on its
// command line counts from where it was typed.
func FromInvoker(path string) string {
	dir := os.Getenv(invokerEnv)
	if path == "" || filepath.IsAbs(path) || dir == "" {
		return path
	}
	return filepath.Join(dir, path)
}

// withoutPrivateEnv returns the environment without what the rig tells itself by
// it. What a person set, such as FORKRIG_TIME_SCALE, and TMPDIR stay.
func withoutPrivateEnv(environ []string) []string {
	var kept []string
	for _, e := range environ {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "FORKRIG_SANDBOX", invokerEnv, "FORKRIG_INVOKER_OUTPUT":
		default:
			kept = append(kept, e)
		}
	}
	return kept
}

// invokerEnv is the environment variable by which the tests in the sandbox know
// where go test was started.
const invokerEnv = "FORKRIG_INVOKER_DIR"
