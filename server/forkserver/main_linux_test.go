// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

// The test binary is the server when it is started under one of these names.
const (
	serverName  = "forkserver"
	blockedName = "forkserver-sigchld-blocked" // the server, started with SIGCHLD blocked
	ignoredName = "forkserver-sigchld-ignored" // the server, started with SIGCHLD ignored
	limiterName = "limiter"                    // sets a soft limit of a running process
)

func init() {
	if strings.HasPrefix(os.Args[0], serverName) {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case serverName:
		os.Exit(Main(os.Args))
	case blockedName:
		mask := unix.Sigset_t{}
		mask.Val[0] = 1 << (unix.SIGCHLD - 1)
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &mask, nil); err != nil {
			panic(err)
		}
		becomeServer()
	case ignoredName:
		signal.Ignore(unix.SIGCHLD)
		becomeServer()
	case limiterName:
		setLimit(os.Args[1:])
		os.Exit(0)
	}
	// A program built with -race sleeps for a second before it exits. The servers
	// that the tests start have no race to report by then.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	os.Exit(m.Run())
}

// becomeServer replaces the process by the server; what is blocked or ignored stays so.
func becomeServer() {
	err := syscall.Exec("/proc/self/exe", append([]string{serverName}, os.Args[1:]...), os.Environ())
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// setLimit is given a process ID, a resource and the new soft limit, and prints
// the old one. It is a program because prlimit(2) wants the process and its
// caller to have the same user.
func setLimit(args []string) {
	var pid, resource int
	var limit, before unix.Rlimit
	_, err := fmt.Sscan(strings.Join(args, " "), &pid, &resource, &limit.Cur)
	if err == nil {
		err = unix.Prlimit(pid, resource, nil, &before)
	}
	if err == nil {
		limit.Max = before.Max
		err = unix.Prlimit(pid, resource, &limit, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(before.Cur)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		args   []string
		status int
		stdout string
		stderr string // the whole line; "" is none
	}{
		{"help", []string{"-h"}, 0, "-max-workers", ""},
		{"defects", []string{"-defects"}, 0, "exit-on-eintr  ", ""},
		{"unknown flag", []string{"-prot", "1"}, 2, "", "flag provided but not defined: -prot; -h lists the flags"},
		{"argument", []string{"9999"}, 2, "", `unexpected argument "9999"; all settings are flags, -h lists them`},
		{"service", []string{"-service", "lower"}, 2, "",
			`invalid value "lower" for flag -service: must be echo or upper; -h lists the flags`},
		{"worker", []string{"-worker", "thread"}, 2, "",
			`invalid value "thread" for flag -worker: must be fork or exec; -h lists the flags`},
		{"port alone", []string{"-listen", "9999"}, 2, "",
			`invalid value "9999" for flag -listen: must be an IP address and a port, such as 127.0.0.1:9999 or [::1]:9999; -h lists the flags`},
		{"host name", []string{"-listen", "localhost:9999"}, 2, "",
			`invalid value "localhost:9999" for flag -listen: must be an IP address and a port, such as 127.0.0.1:9999 or [::1]:9999; -h lists the flags`},
		{"backlog", []string{"-backlog", "0"}, 2, "", "-backlog 0: must be from 1 to 2147483647"},
		{"max-workers", []string{"-max-workers", "-1"}, 2, "", "-max-workers -1: must be 1 or more, or 0 for no limit"},
		{"grace", []string{"-grace", "-1s"}, 2, "", "-grace -1s: must not be negative; 0s kills the workers at once"},
		{"idle", []string{"-idle", "1us"}, 2, "", "-idle 1µs: must be 1ms or more, or 0s for never"},
		{"unknown defect", []string{"-defect", "xyzzy"}, 2, "",
			`invalid value "xyzzy" for flag -defect: no such defect; -defects lists them; -h lists the flags`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			c := command(serverName, test.args...)
			c.Stdout, c.Stderr = &stdout, &stderr
			err := c.Run()
			if test.status != 0 {
				assert.Error(t, err)
			}
			assert.Equal(t, test.status, c.ProcessState.ExitCode())
			assert.Contains(t, stdout.String(), test.stdout)
			want := ""
			if test.stderr != "" {
				want = serverName + ": " + test.stderr + "\n"
			}
			assert.Equal(t, want, stderr.String())
		})
	}
}

// TestParseConfigOfAnyLine: a command line that is taken is complete, and no part of it is
// out of bounds.
func TestParseConfigOfAnyLine(t *testing.T) {
	for _, line := range []string{"", "-listen 127.0.0.1:7000", "-listen [::]:0 -worker exec", "-backlog -1", "-max-workers 0", "-grace -1s",
		"-defect no-reap", "-service nothing", "-listen 1.2.3.4:65536", "-idle 9999999h", "-h", "extra"} {
		c, err := parseConfig(strings.Fields(line))
		switch {
		case err != nil && err.Error() == "":
			t.Error("an error without words")
		case err == nil && (!c.listen.IsValid() || c.backlog < 0 || c.maxWorkers < 0 || c.grace < 0):
			t.Errorf("%q became %+v", line, c)
		}
	}
}

func TestDefaultListen(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "0.0.0.0:9999"},
		{[]string{"-service", "echo"}, "0.0.0.0:9999"},
		{[]string{"-service", "upper"}, "127.0.0.1:6666"},
		{[]string{"-service", "upper", "-listen", "[::]:1"}, "[::]:1"},
	} {
		cfg, err := parseConfig(test.args)
		assert.NoError(t, err)
		assert.Equal(t, test.want, cfg.listen.String())
	}
}

func TestDefectsHaveNameAndMeaning(t *testing.T) {
	for _, d := range Defects() {
		assert.Regexp(t, `^[a-z0-9-]+$`, d.String())
		assert.NotEmpty(t, d.Meaning())
		var parsed Defect
		assert.NoError(t, parsed.UnmarshalText([]byte(d.String())))
		assert.Equal(t, d, parsed)
	}
	assert.Empty(t, NoDefect.String())
}

// command returns the test binary under another name.
func command(name string, args ...string) *exec.Cmd {
	return &exec.Cmd{Path: "/proc/self/exe", Args: append([]string{name}, args...)}
}
