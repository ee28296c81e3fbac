// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig/internal/netns"
	"forkrig/rig/internal/program"
	"forkrig/rig/internal/sandbox"
	"forkrig/rig/observe"
)

// victimEnv makes the test binary run a victim in a sandbox of its own.
const victimEnv = "FORKRIG_TEST_VICTIM"

// victims are what runs in the place of tests inside such a sandbox.
var victims = map[string]func() int{
	"status":   func() int { return 7 },
	"killed":   func() int { return map[bool]int{true: 1}[unix.Kill(os.Getpid(), unix.SIGKILL) == nil] },
	"awaits":   func() int { fmt.Println("ready"); return stay() },
	"litters":  func() int { return startDetached("stubborn") },
	"holds":    func() int { return holdNamespace() },
	"builds":   buildForever,
	"shows":    func() int { fmt.Println(ownPIDNamespace(), os.Getuid(), os.Getenv("TMPDIR"), os.Args[1:]); return 0 },
	"inherits": inherits,
	"forgets":  func() int { return startDetached("hello") },
}

func ownPIDNamespace() string {
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return err.Error()
	}
	return name
}

func startDetached(name string) int {
	_, err := syscall.ForkExec("/proc/self/exe", []string{program.Arg0(name)}, &syscall.ProcAttr{Env: os.Environ()})
	return map[bool]int{true: 0, false: 1}[err == nil]
}

// inherits prints the descriptors of a process on a host.
func inherits() int {
	t := &run{context: context.Background()}
	lab := New(t)
	fds, err := lab.NewHost("h").MustStart(stoppable("counting")).FDs()
	fmt.Println(fds, err, lab.close())
	return map[bool]int{true: 0, false: 1}[err == nil]
}

func holdNamespace() int {
	if _, err := newNamespace("held"); err != nil { // and it is never closed
		return 1
	}
	return 0
}

// buildForever builds labs with everything in them, one after the other.
func buildForever() int {
	t := &run{context: context.Background()}
	for round := 0; ; round++ {
		lab := New(t)
		server, clients := lab.NewStar("server", "client", 2)
		target := netip.AddrPortFrom(server.MustAddr(IPv4), 7000)
		p := server.MustStart(Program("listening", target.String()))
		clients[0].MustStart(Program("orphaning"))
		if _, err := server.AwaitListen(t.Context(), p, 7000); err != nil {
			t.Fatal(err)
		}
		conn, err := clients[1].Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(os.TempDir(), "victim"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Println("round", round)
		if _, err := lab.StartStorm(Storm{Signals: []syscall.Signal{syscall.SIGURG}, Targets: []Target{p.Itself()}}); err != nil {
			t.Fatal(err)
		}
		// A connection that cannot finish, because its link is down.
		err = lab.links[1].Down()
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		lab.close() // it finds the orphan, which is not what this is about
	}
}

// victim returns the command of a test binary in a new sandbox.
func victim(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "rig.test"
	cmd.Env = append(sandbox.WithoutPrivateEnv(os.Environ()), victimEnv+"="+name)
	return cmd
}

func TestSandboxReturnsTheStatusOfTheTests(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		status int
		output string
	}{
		"status":  {7, ""},
		"killed":  {137, "the program in the sandbox was ended by signal 9"},
		"litters": {1, "after the tests: 1 processes were left running: stubborn pid"},
		"forgets": {1, "zombie"}, // a child that the tests did not wait for
		"holds":   {1, "is still held by descriptor"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := victim(name).CombinedOutput()
			var exit *exec.ExitError
			if want.status != 0 {
				require.ErrorAs(t, err, &exit, string(output))
				assert.Equal(t, want.status, exit.ExitCode(), string(output))
			} else {
				assert.NoError(t, err, string(output))
			}
			assert.Contains(t, string(output), want.output)
		})
	}
}

func TestSandboxPassesArgumentsAndSignalsOn(t *testing.T) {
	t.Parallel()
	output, err := victim("shows", "-test.testlogfile=x", "-test.run=y").CombinedOutput()
	require.NoError(t, err, string(output))
	fields := strings.Fields(string(output))
	assert.NotEqual(t, ownPIDNamespace(), fields[0])
	require.Len(t, fields, 5)
	assert.Regexp(t, `^\[-test\.parallel=[1-9][0-9]*$`, fields[3])
	fields[3] = ""
	assert.Equal(t, []string{"0", "/dev/shm", "", "-test.run=y]"}, fields[1:], "the log that makes go test cache is gone")
	output, err = victim("shows", "--test.parallel=3").CombinedOutput()
	require.NoError(t, err, string(output))
	assert.Contains(t, string(output), "/dev/shm [--test.parallel=3]", "it is kept where it is given")

	cmd := victim("awaits")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	// SIGQUIT is how go test asks a binary that hangs for its goroutines.
	require.NoError(t, cmd.Process.Signal(syscall.SIGQUIT))
	late := time.AfterFunc(Patience(), func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	require.Error(t, cmd.Wait())
	assert.Equal(t, 2, cmd.ProcessState.ExitCode())
	assert.Contains(t, stderr.String(), "SIGQUIT: quit")
}

func TestSandboxNeedsNoRoot(t *testing.T) {
	t.Parallel()
	if !manyUsers() {
		t.Skip("this whole run is without root")
	}
	cmd := victim("shows")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	assert.Equal(t, "0", strings.Fields(string(output))[1], "root in its own user namespace")
}

// oneUser makes a process root of a new user namespace that has no other user.
func oneUser(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
}

// covering covers a part of /proc and starts a sandbox in a user namespace below.
func covering([]string) int {
	if err := unix.Mount("/dev/null", "/proc/uptime", "", unix.MS_BIND, ""); err != nil {
		fmt.Println("cover /proc/uptime:", err)
		return 3
	}
	cmd := victim("shows")
	cmd.SysProcAttr = oneUser(0)
	cmd.Stderr = os.Stderr
	return map[bool]int{true: 0, false: 1}[cmd.Run() == nil]
}

// limiting allows its user namespace no network namespace and starts a sandbox.
func limiting([]string) int {
	if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("0"), 0); err != nil {
		fmt.Println(err)
		return 3
	}
	cmd := victim("shows")
	cmd.Stderr = os.Stderr
	return map[bool]int{true: 0, false: 1}[cmd.Run() == nil]
}

// bare gives up its capabilities.
func bare([]string) int {
	header, none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capset(&header, &none[0]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	return startAsVictim("shows")
}

// procless hides /proc.
func procless([]string) int {
	if err := unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	return startAsVictim("shows")
}

// startAsVictim becomes a victim in this very process.
func startAsVictim(name string) int { return statusOf(sandboxed(victims[name])) }

func TestSandboxThatCannotBeSaysWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		program    string
		attributes *syscall.SysProcAttr
		want       string
	}{
		// A user without a mapping may not make user namespaces (user_namespaces(7)).
		"user namespaces forbidden": {"", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER},
			"start the sandbox: fork/exec /proc/self/exe: operation not permitted: user namespaces are forbidden here: run as root"},
		"root without capabilities": {"bare", oneUser(0),
			"operation not permitted: this root has too few capabilities: give it CAP_SYS_ADMIN and CAP_NET_ADMIN, both of them"},
		"no /proc": {"procless", oneUser(unix.CLONE_NEWNS),
			"no such file or directory: there is no /proc: mount it"},
		"limit reached": {"limiting", oneUser(0),
			"no space left on device: a limit in /proc/sys/user is reached"},
		"/proc covered": {"covering", oneUser(unix.CLONE_NEWNS),
			"mount /proc: operation not permitted: the kernel refuses a new /proc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := victim("shows")
			if test.program != "" {
				cmd.Args[0] = program.Arg0(test.program)
			}
			cmd.SysProcAttr = test.attributes
			output, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, string(output))
			assert.Equal(t, 1, exit.ExitCode(), string(output))
			assert.Contains(t, string(output), test.want)
			assert.Len(t, strings.Split(strings.TrimSpace(string(output)), "\n"), 1, "one line: %s", output)
		})
	}
}

// TestKilledSandboxLeavesNothing kills test binaries with SIGKILL at random
// moments while they build labs: the outer process or the tests, and at last
// init. Then it compares the machine with what it was before.
func TestKilledSandboxLeavesNothing(t *testing.T) {
	t.Parallel()
	needsSockDestroy(t) // to end the connections of the killed
	const kills = 25
	seed := rand.Uint64()
	cmd := victim("", strconv.Itoa(kills), strconv.FormatUint(seed, 10))
	cmd.Args[0] = program.Arg0("assassin")
	cmd.SysProcAttr = oneUser(unix.CLONE_NEWNS | unix.CLONE_NEWNET)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "seed %d: %s", seed, output)
	assert.Contains(t, string(output), fmt.Sprintf("%d killed, nothing left", kills))
}

// assassin runs in user, mount and network namespaces of its own, so that what
// it compares is touched by nobody but its victims.
func assassin(args []string) int {
	kills, _ := strconv.Atoi(args[1])
	seed, _ := strconv.ParseUint(args[2], 10, 64)
	random := rand.New(rand.NewPCG(seed, 0))
	before, err := machineState()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for n := range kills {
		generations := 2 * random.IntN(2) // the outer process or the tests
		if n >= kills*4/5 {
			generations = 1 // init: see Main for what may stay a while
		}
		if n == kills*4/5 {
			err = onlyNamespacesOfOurOwn()
		}
		if err == nil {
			err = killOne(random, generations)
		}
		if err == nil {
			err = Await(context.Background(), "the machine as it was", func() (bool, string, error) {
				now, err := machineState()
				return now == before, fmt.Sprintf("%s\nbut it was\n%s", now, before), err
			})
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Printf("%d killed, nothing left\n", kills)
	return 0
}

// killOne starts a victim, waits for a random moment and kills it: the outer
// process, or its descendant so many generations down (init, the tests).
func killOne(random *rand.Rand, generations int) error {
	cmd := victim("builds")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return err
	}
	moment := time.NewTimer(time.Duration(random.IntN(250)) * time.Millisecond)
	<-moment.C
	pid := cmd.Process.Pid
	for _, name := range []string{program.Arg0(sandbox.Init), "rig.test"}[:generations] {
		child, err := childCalled(pid, name)
		if err != nil {
			return err
		}
		if child != 0 { // otherwise it is not there yet
			pid = child
		}
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
		return err
	}
	const killedStatus = 128 + int(unix.SIGKILL)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if status := cmd.ProcessState; err == nil || status.ExitCode() != killedStatus && status.ExitCode() != -1 {
			return fmt.Errorf("the victim ended with %v: %s", status, output.String())
		}
		return nil
	case <-time.After(Patience()):
		return errors.Join(fmt.Errorf("the victim goes on although its process %d was killed", pid), cmd.Process.Kill())
	}
}

// everyProcess returns the processes of the sandbox that are on no host.
func everyProcess() (ProcessInfos, error) {
	s, err := look("list processes", observe.Query{Others: true})
	if err != nil {
		return nil, err
	}
	return s.All(), nil
}

// childCalled returns the child of the process whose argv[0] is name, or 0.
func childCalled(parent int, name string) (int, error) {
	all, err := everyProcess()
	if err != nil {
		return 0, err
	}
	for _, info := range all {
		if info.ParentPID != parent {
			continue
		}
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", info.PID))
		if err == nil && bytes.HasPrefix(command, append([]byte(name), 0)) {
			return info.PID, nil
		}
	}
	return 0, nil
}

// machineState describes what a sandbox could leave behind: processes of the
// assassin's user namespace, mounts, links and temporary files.
func machineState() (string, error) {
	var b strings.Builder
	own, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return "", err
	}
	all, err := everyProcess()
	if err != nil {
		return "", err
	}
	for _, info := range all {
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", info.PID))
		if err == nil && theirs == own && info.PID != os.Getpid() {
			fmt.Fprintln(&b, "process", info)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		// What a test beside this one mounts in its directory comes and goes.
		if !strings.Contains(line, " /dev/shm/Test") {
			b.WriteString(line)
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, link := range links {
		fmt.Fprintln(&b, "link", link.Name)
	}
	if _, err := os.Stat(filepath.Join(os.TempDir(), "victim")); !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(&b, "a temporary file was left:", err)
	}
	return b.String(), nil
}

// onlyNamespacesOfOurOwn proves that the kernel has freed every network
// namespace of the victims. It cannot list them, but it counts them: with a
// limit of one (the assassin's own) and a few, just those few can be made.
func onlyNamespacesOfOurOwn() error {
	const few = 4
	const file = "/proc/sys/user/max_net_namespaces"
	unlimited, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(1+few)), 0); err != nil {
		return err
	}
	defer os.WriteFile(file, unlimited, 0)
	// What was made is kept until the end: the kernel takes longer to free a
	// namespace than the next look takes to come.
	var made []*netns.Namespace
	defer func() {
		for _, ns := range made {
			ns.Close()
		}
	}()
	return Await(context.Background(), "every network namespace freed", func() (bool, string, error) {
		for len(made) < few {
			ns, err := newNamespace("counted")
			if err != nil {
				return false, fmt.Sprintf("%d of %d could be made: %v", len(made), few, err), nil
			}
			made = append(made, ns)
		}
		return true, "", nil
	})
}
