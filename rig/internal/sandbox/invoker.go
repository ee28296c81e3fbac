// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"path/filepath"
	"strings"
)

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

// WithoutPrivateEnv returns the environment without what the sandbox tells itself by
// it. What a person set, such as FORKRIG_TIME_SCALE, and TMPDIR stay.
func WithoutPrivateEnv(environ []string) []string {
	var kept []string
	for _, e := range environ {
		switch name, _, _ := strings.Cut(e, "="); name {
		case sandboxEnv, invokerEnv, invokerOutputEnv:
		default:
			kept = append(kept, e)
		}
	}
	return kept
}

// invokerEnv is the environment variable by which the tests in the sandbox know
// where go test was started.
const invokerEnv = "FORKRIG_INVOKER_DIR"

// invokerOutputEnv says that announceFD is there.
const invokerOutputEnv = "FORKRIG_INVOKER_OUTPUT"

// sandboxEnv names the PID namespace of the sandbox a process runs in. Its value is
// compared with the kernel's, so a variable that leaked from elsewhere does not count.
const sandboxEnv = "FORKRIG_SANDBOX"
