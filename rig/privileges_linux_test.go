// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig/internal/program"
	"forkrig/rig/observe"
)

// confessing prints what it was started with: a line of its status, a descriptor or
// a variable of the rig on each line. With an argument it does so in a child, as a
// daemon (in a session of its own) or as a worker.
func confessing(args []string) int {
	if len(args) > 1 {
		child := exec.Command("/proc/self/exe")
		child.Args[0] = program.Arg0("confessing")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: args[1] == "daemon"}
		if err := child.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		if args[1] == "worker" {
			_ = child.Wait()
		}
		return 0
	}
	// The directory's own descriptor, and those of the Go runtime, are closed on exec.
	fds, err := observe.ReadFDs(os.Getpid())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, fd := range fds {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd.Number), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			fmt.Println("fd", fd.Number)
		}
	}
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "FORKRIG_") {
			fmt.Println("env", e)
		}
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs":
			fmt.Println(name, strings.Join(strings.Fields(value), " "))
		}
	}
	fmt.Println("done")
	return 0
}

// confession returns what a process like confessing prints.
func confession(t *testing.T, c Command) map[string]string {
	t.Helper()
	p := New(t).NewHost("h").MustStart(c)
	_, err := p.Stdout.AwaitLine(t.Context(), "done", func(line string) bool { return line == "done" })
	require.NoError(t, err)
	said := map[string]string{}
	for _, line := range p.Stdout.Lines() {
		name, value, _ := strings.Cut(line, " ")
		said[name] = strings.TrimSpace(said[name] + " " + value)
	}
	return said
}

func TestProcessIsGivenNothingOfTheRig(t *testing.T) {
	t.Parallel()
	for _, how := range [][]string{nil, {"daemon"}, {"worker"}} {
		for _, user := range []string{"", "nobody"} {
			t.Run(fmt.Sprint(how, user), func(t *testing.T) {
				t.Parallel()
				c := Program("confessing", how...)
				c.User = user
				said := confession(t, c)
				assert.Equal(t, "0 1 2", said["fd"])
				for _, private := range []string{"FORKRIG_SANDBOX", "FORKRIG_INVOKER_DIR", "FORKRIG_INVOKER_OUTPUT"} {
					assert.NotContains(t, said["env"], private+"=")
				}
				if user == "" {
					return
				}
				const none = "0000000000000000"
				for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
					assert.Equal(t, none, said[set], set)
				}
				assert.Equal(t, "65534 65534 65534 65534", said["Uid"])
				assert.Equal(t, said["Uid"], said["Gid"])
				assert.Empty(t, said["Groups"])
				assert.Equal(t, "1", said["NoNewPrivs"])
			})
		}
	}
}

// TestSetUserIDProgramGivesNothingBack starts a program of root with the
// set-user-ID bit as another user.
func TestSetUserIDProgramGivesNothingBack(t *testing.T) {
	t.Parallel()
	_, err := credentialOf("nobody")
	SkipIfMissing(t, err)
	// The sandbox's temporary file system ignores the bit (MS_NOSUID).
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV, "mode=755"))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	text, err := os.ReadFile(program.Executable)
	require.NoError(t, err)
	program := filepath.Join(dir, "program")
	// No child of another test may inherit the file while it can be written: it
	// could not be executed then (ETXTBSY).
	syscall.ForkLock.RLock()
	err = os.WriteFile(program, text, 0o755)
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	require.NoError(t, os.Chmod(program, 0o755|os.ModeSetuid))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // that of the test
	c := Program("becoming", program)
	c.User = "nobody"
	p := New(t).NewHost("h").MustStart(c)
	_, err = p.Stdout.AwaitLine(t.Context(), "done", func(line string) bool { return line == "done" })
	require.NoError(t, err)
	assert.Contains(t, p.Stdout.Lines(), "Uid 65534 65534 65534 65534")
	assert.Contains(t, p.Stdout.Lines(), "CapEff 0000000000000000")
}

// becoming executes the file in its argument as confessing.
func becoming(args []string) int {
	fmt.Println(syscall.Exec(args[1], []string{program.Arg0("confessing")}, os.Environ()))
	return 1
}

// TestCapabilitiesOfAnotherUser: by them it enters a directory that is root's alone, executes
// a file there, and so does what it starts.
func TestCapabilitiesOfAnotherUser(t *testing.T) {
	t.Parallel()
	NeedPrograms(t, "sh", "cat", "grep")
	_, err := credentialOf("nobody")
	SkipIfMissing(t, err)
	private := t.TempDir()
	require.NoError(t, os.Chmod(private, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(private, "secret"), []byte("secret\n"), 0o600))
	syscall.ForkLock.RLock() // see TestSetUserIDProgramGivesNothingBack
	err = os.WriteFile(filepath.Join(private, "program"), []byte("#!/bin/sh\ncat secret\ngrep CapEff /proc/self/status\n"), 0o700)
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	c := Command{Args: []string{"./program"}, Dir: private, User: "nobody"}
	host := New(t).NewHost("h")
	_, err = host.Start(c)
	require.ErrorIs(t, err, os.ErrPermission)
	const chown, overrideAccess = 0, 1 // capabilities(7)
	c.Capabilities = []uintptr{chown, overrideAccess}
	p := host.MustStart(c)
	_, err = p.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Stdout.AwaitEnd(t.Context()))
	assert.Equal(t, []string{"secret", "CapEff:\t0000000000000003"}, p.Stdout.Lines())

	c.Args[0] = "./missing"
	p = host.MustStart(c)
	exit, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, ambientFailed, exit.Code)
	line, err := p.Stderr.AwaitLine(t.Context(), "why not", func(string) bool { return true })
	require.NoError(t, err)
	assert.Contains(t, line, "no such file or directory: install the program")

	c.User = ""
	_, err = host.Start(c)
	assert.ErrorContains(t, err, "set User")
}
