// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/dialogue"
	"forkrig/internal/cli"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// A server may do many things that ours does not, and be right. These programs
// do them; their arguments are those of the server.
var strangers = rig.Programs{
	"daemon":            func(args []string) int { return leave(args[1:]) },
	"late":              func(args []string) int { time.Sleep(time.Second); return become(args[1:]) }, // it is what is late
	"mapped":            mapped,
	"helped":            helped,
	"threads":           threads,
	"deferring":         deferring,
	"deferring-spinner": deferringSpinner,
	"greeting":          greeting,
	"limited":           limited,
	"two-users":         twoUsers,
	"curt":              curt,
	"hasty":             hasty,
	"impatient":         impatient,
	"heir":              heir,
	"pool":              func(args []string) int { return pool(args, "pool-worker") },
	// The pools that are wrong: one does not replace a worker that ended, the other
	// replaces it by one that ends at once.
	"shrinking-pool": func(args []string) int { return pool(args, "") },
	"crashing-pool":  func(args []string) int { return pool(args, "ends-at-once") },
	"pool-worker":    poolWorker,
	// Its workers end after some clients, and others take their places.
	"recycling-pool":   func(args []string) int { return pool(args, "recycling-worker") },
	"recycling-worker": recyclingWorker,
	"ends-at-once":     func([]string) int { return 1 },
}

// TestStrangeServers judges servers that are right in unusual ways, with -short by two
// checks that pass and two that are skipped.
func TestStrangeServers(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		passes []string // at least these
		skips  []string // these and no others
		args   []string
	}{
		// The process that was started ends, and init is the parent of the server.
		"daemon": {passes: []string{"reap", "eintr-accept", "eintr-sweep", "reuse-time-wait", "second-instance", "fd-steady", "term"}},
		// It needs a second until it listens.
		"late": {passes: []string{"reuse-time-wait"}},
		// It is reached over IPv4, and has IPv6 addresses.
		"mapped": {passes: []string{"slow-reader", "eintr-worker", "reset-survived", "vanished-client"}},
		// It keeps a child that is no worker.
		"helped": {passes: []string{"reap", "reap-burst", "fin-on-close", "term"}},
		// It ends a client that says nothing for a moment after its first message.
		"impatient": {passes: []string{"reset-survived"}, args: []string{rig.Scaled(time.Second / 2).String()}},
		// Its child has the listening socket, too, and it accepts itself.
		"heir": {passes: []string{"accept-emfile"}},
		// It has no process for each connection.
		"threads": {
			passes: []string{"reuse-time-wait", "fd-steady", "concurrent", "bytes-exact", "slow-reader", "backlog-burst", "accept-aborted", "accept-emfile", "accept-short", "fin-on-close", "term"},
			skips:  []string{"reap", "reap-burst", "reap-exact", "reuse-live-worker", "fork-failure", "worker-killed"},
		},
		// It accepts a client only when bytes have come (TCP_DEFER_ACCEPT in tcp(7)).
		"deferring": {passes: []string{"accept-emfile", "vanished-client", "concurrent", "clean-close", "backlog-burst", "reset-survived"}},
		// Its workers were there before the first client.
		"recycling-pool": {passes: []string{"fd-steady", "accept-emfile", "reset-survived", "fin-on-close", "backlog-burst", "restart-gap"}},
		"pool":           {passes: []string{"worker-killed", "reset-survived", "fin-on-close", "fd-steady", "vanished-client", "concurrent", "restart-gap", "clean-close"}},
	} {
		passes, skips := story.passes[:fewer(len(story.passes), 2)], story.skips[:fewer(len(story.skips), 2)]
		selected, err := checks.Select(strings.Join(slices.Concat(passes, skips), ","))
		if err != nil {
			t.Fatal(err)
		}
		for _, check := range selected {
			t.Run(name+"/"+check.Name, func(t *testing.T) {
				t.Parallel()
				subject := cli.BuiltIn()
				subject.Command = append(subject.Command, story.args...)
				subject.Command[0] = rig.Program(name).Args[0]
				result := check.Judge(t, subject, rig.IPv4)
				wanted := scorecard.Pass
				if strings.Contains(","+strings.Join(story.skips, ",")+",", ","+check.Name+",") {
					wanted = scorecard.Skip
				}
				assert.Equal(t, wanted, result.Verdict, "%s\n%s\n%s", result.Observed, result.Remedy+result.Reason, strings.Join(result.Evidence, "\n"))
			})
		}
	}
}

// TestGreeterWithSmallBacklog: the kernel answers clients that a backlog has no room for with SYN
// cookies, and forgets those whose handshake it cannot end. They wait for the greeting for ever,
// of which the server knows nothing: it is not deaf.
func TestGreeterWithSmallBacklog(t *testing.T) {
	t.Parallel()
	selected, err := checks.Select("backlog-burst")
	require.NoError(t, err)
	subject := cli.BuiltIn()
	subject.Command[0] = rig.Program("greeting").Args[0]
	subject.Service, err = dialogue.Resolve(`hello < "hello\n" round > "a\n" < "a\n"`)
	require.NoError(t, err)
	result := selected[0].Judge(t, subject, rig.IPv4)
	assert.Equal(t, scorecard.Fail, result.Verdict, "%+v", result)
	assert.Equal(t, []string{"backlog-small"}, result.Findings)
	assert.NotContains(t, result.Observed, "quiescent")
	assert.Nil(t, result.End)
}

// TestDeferringSpinner: a client of a service that begins with its hello sends a byte of that, so
// that it is in the backlog while no descriptor is free.
func TestDeferringSpinner(t *testing.T) {
	t.Parallel()
	selected, err := checks.Select("accept-emfile")
	require.NoError(t, err)
	subject := cli.BuiltIn()
	subject.Command[0] = rig.Program("deferring-spinner").Args[0]
	subject.Service, err = dialogue.Resolve(`hello > "a\n" < "a\n"`)
	require.NoError(t, err)
	result := selected[0].Judge(t, subject, rig.IPv4)
	assert.Equal(t, []string{"EMFILE-spin"}, result.Findings, "%+v", result)
}

// TestLimitOfClients: a server that turns clients away while it serves as many as it may is right.
func TestLimitOfClients(t *testing.T) {
	t.Parallel()
	selected, err := checks.Select("backlog-burst,fd-steady")
	require.NoError(t, err)
	subject := cli.BuiltIn()
	subject.Command[0] = rig.Program("limited").Args[0]
	results, _, err := judge.Trial{Subject: subject, Checks: selected[:fewer(len(selected), 1)], Families: []rig.Family{rig.IPv4}}.Run(t)
	require.NoError(t, err)
	for _, result := range results {
		assert.Equal(t, scorecard.Pass, result.Verdict, "%+v", result)
	}
}

// TestPoolsThatAreWrong are not helped by a parent that lives.
func TestPoolsThatAreWrong(t *testing.T) {
	t.Parallel()
	selected, err := checks.Select("worker-killed")
	require.NoError(t, err)
	for name, says := range map[string]string{
		"shrinking-pool": "none is replaced",
		"crashing-pool":  "processes that end and are replaced at once",
	} {
		t.Run(name, func(t *testing.T) {
			if name == "shrinking-pool" && testing.Short() {
				t.Skip("the check waits for a parent that has a timer: 15 s")
			}
			t.Parallel()
			subject := cli.BuiltIn()
			subject.Command[0] = rig.Program(name).Args[0]
			result := selected[0].Judge(t, subject, rig.IPv4)
			assert.Equal(t, scorecard.Fail, result.Verdict, "%+v", result)
			assert.Contains(t, result.Observed, says)
		})
	}
}

// TestSubjectsThatCannotBeJudged gets one clear error for each.
func TestSubjectsThatCannotBeJudged(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("no program\n"), 0o600))
	for name, story := range map[string]struct {
		subject judge.Subject
		says    []string
	}{
		"it is not there":        {judge.Subject{Command: []string{"/nowhere/server", "{port}"}}, []string{"/nowhere/server", "install the program"}},
		"it is no program":       {judge.Subject{Command: []string{text, "{port}"}}, []string{"make the program executable"}},
		"it exits at once":       {judge.Subject{Command: []string{"sh", "-c", "echo no configuration >&2; exit 3 # {port}"}}, []string{"exit status 3", "no configuration"}},
		"it never listens":       {judge.Subject{Command: []string{"sh", "-c", "echo thinking; sleep 1000 # {port}"}, Ready: time.Second}, []string{"listening on port 9999", "thinking"}},
		"it is another service":  {judge.Subject{Command: cli.BuiltIn("-service", "upper").Command}, []string{"does not answer as the service echo does", "-service"}},
		"it listens and is mute": {judge.Subject{Command: rig.Program("mute", "{ip}:{port}").Args}, []string{"does not answer as the service echo does", "-service none"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story.subject.Service = dialogue.MustResolve("echo")
			assert.NoError(t, story.subject.Check())
			_, absent := judge.Reach(t, story.subject, rig.Families[:]...)
			assert.Len(t, absent, 2)
			for _, text := range story.says {
				assert.ErrorContains(t, absent[rig.IPv4], text)
			}
		})
	}
}

// become executes the built-in server in the place of this process.
func become(args []string) int {
	err := syscall.Exec("/proc/self/exe", append([]string{rig.Program("server").Args[0]}, args...), os.Environ())
	fmt.Fprintln(os.Stderr, "become the server:", err)
	return 1
}

// mapped becomes the built-in server on all addresses: those of its clients are IPv4-mapped ones
// (ipv6(7)).
func mapped(args []string) int {
	all := slices.Clone(args[1:])
	for i, word := range all {
		if i > 0 && all[i-1] == "-listen" {
			_, port, _ := net.SplitHostPort(word)
			all[i] = net.JoinHostPort("::", port)
		}
	}
	return become(all)
}

// leave starts the built-in server in a session of its own, and ends.
func leave(args []string) int {
	daemon := exec.Command("/proc/self/exe", args...)
	daemon.Args[0] = rig.Program("server").Args[0]
	daemon.Stderr = os.Stderr
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the daemon:", err)
		return 1
	}
	return 0
}

// helped starts a helper that ends with it, and becomes the server.
func helped(args []string) int {
	helper := exec.Command("sleep", "1000")
	helper.SysProcAttr = pdeathsig()
	if err := helper.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the helper:", err)
		return 1
	}
	return become(args[1:])
}

// threads is an echo server as Go has them: goroutines, and no processes.
func threads(args []string) int { return threadsAt(net.ListenConfig{}, args, echo) }

// deferring is one that accepts a connection when bytes have come.
func deferring(args []string) int { return deferringTo(args, echo) }

// deferringSpinner is one that calls accept again at once when it fails.
func deferringSpinner(args []string) int {
	return deferringTo(args, func(l net.Listener) int { return echo(spinner{l}) })
}

type spinner struct{ net.Listener }

func (s spinner) Accept() (net.Conn, error) {
	for {
		if conn, err := s.Listener.Accept(); err == nil {
			return conn, nil
		}
	}
}

func deferringTo(args []string, serve func(net.Listener) int) int {
	return threadsAt(net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		const deferAccept, seconds = 9, 60 // TCP_DEFER_ACCEPT in tcp(7)
		controlErr := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, deferAccept, seconds)
		})
		return errors.Join(controlErr, err)
	}}, args, serve)
}

// greeting is one that speaks first, with a backlog of 5.
func greeting(args []string) int {
	listener, err := net.Listen("tcp", args[2]) // after -listen
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _ = syscall.Listen(int(fd), 5) }) // it listens already
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return echo(greeter{listener})
}

// limited is one that serves 5 clients at a time, and ends the connections of others at once.
func limited(args []string) int {
	listener, err := net.Listen("tcp", args[2]) // after -listen
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	turns := make(chan struct{}, 5)
	for {
		conn, err := listener.Accept()
		if err != nil {
			continue
		}
		select {
		case turns <- struct{}{}:
			go func() {
				defer func() { <-turns }()
				defer conn.Close()
				_, _ = io.Copy(struct{ io.Writer }{conn}, conn) // an error means that the client has left
			}()
		default:
			conn.Close()
		}
	}
}

// greeter greets each client that it accepts.
type greeter struct{ net.Listener }

func (g greeter) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err == nil {
		_, _ = io.WriteString(conn, "hello\n") // an error means that the client has left
	}
	return conn, err
}

func threadsAt(listening net.ListenConfig, args []string, serve func(net.Listener) int) int {
	listener, err := listening.Listen(context.Background(), "tcp", args[2]) // after -listen
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		os.Exit(0)
	}()
	return serve(listener)
}

// echo serves each client of the listener in a goroutine.
func echo(listener net.Listener) int {
	for {
		conn, err := listener.Accept()
		if err != nil {
			time.Sleep(5 * time.Millisecond) // out of descriptors, it does not spin
			continue
		}
		go func() {
			defer conn.Close()
			// An error means that the client has left. The bare writer keeps io.Copy
			// from splicing, for which Go keeps pipes until its collector closes them.
			_, _ = io.Copy(struct{ io.Writer }{conn}, conn)
		}()
	}
}

// pool starts two workers before the first client, and runs a successor for each that ends,
// if one is named.
func pool(args []string, successor string) int {
	first := "pool-worker"
	if successor == "recycling-worker" {
		first = successor
	}

	listener, err := net.Listen("tcp", args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ended := make(chan error)
	start := func(name string) {
		worker := exec.Command("/proc/self/exe")
		worker.Args[0] = rig.Program(name).Args[0]
		worker.ExtraFiles = []*os.File{file}
		worker.SysProcAttr = pdeathsig()
		go func() {
			runtime.LockOSThread() // the worker lives as long as the thread that started it
			ended <- worker.Run()
		}()
	}
	start(first)
	start(first)
	for err := range ended {
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, "start a worker:", err)
			return 1
		}
		if successor != "" {
			start(successor)
		}
	}
	return 0
}

// poolWorker serves on the socket that its parent listens on.
func poolWorker([]string) int {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return echo(listener)
}

// recyclingWorker serves one client after the other, and ends after 20 of them.
func recyclingWorker([]string) int {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for range 20 {
		conn, err := listener.Accept()
		if err != nil {
			return 1
		}
		_, _ = io.Copy(conn, conn) // an error means that the client has left
		conn.Close()
	}
	return 0
}

// curt is threads with connections that end in a reset, and so leave no TIME_WAIT.
func curt(args []string) int {
	listener, err := net.Listen("tcp", args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		conn, err := listener.Accept()
		if err != nil || conn.(*net.TCPConn).SetLinger(0) != nil {
			return 1
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(struct{ io.Writer }{conn}, conn) // the client has left
		}()
	}
}

// TestPreconditionIsNeverAPass: where what a check is about does not come about, it
// says so, and does not pass.
func TestPreconditionIsNeverAPass(t *testing.T) {
	t.Parallel()
	selected, err := checks.Select("reuse-time-wait")
	require.NoError(t, err)
	subject := cli.BuiltIn()
	subject.Command[0] = rig.Program("curt").Args[0]
	result := selected[0].Judge(t, subject, rig.IPv4)
	assert.Equal(t, scorecard.Skip, result.Verdict, "%+v", result)
	assert.Contains(t, result.Reason, "this subject resets them (clean-close judges that), and the port has no TIME_WAIT")
}

// TestPolicies compares what SIGTERM does to workers with what the user wants.
func TestPolicies(t *testing.T) {
	t.Parallel()
	selected, err := checks.Select("term")
	require.NoError(t, err)
	for found, args := range map[judge.Policy][]string{
		judge.Drain: {"-grace", "1h"}, // on a busy machine a few seconds are soon over
		judge.Kill:  {"-grace", "0s"},
		judge.Leave: {"-leave-workers"},
	} {
		for _, wanted := range append(judge.Policies, judge.Unstated) {
			t.Run(fmt.Sprintf("%s wanted, %s found", wanted, found), func(t *testing.T) {
				t.Parallel()
				subject := cli.BuiltIn(args...)
				subject.OnTerm = wanted
				result := selected[0].Judge(t, subject, rig.IPv4)
				if wanted == found || wanted == judge.Unstated {
					passes(t, result)
					assert.Regexp(t, "\\("+string(found)+"[;)]", result.Observed)
					return
				}
				assert.Equal(t, scorecard.Fail, result.Verdict, "%+v", result)
				assert.Contains(t, result.Observed, fmt.Sprintf("wanted %s, found %s", wanted, found))
			})
		}
	}
}

// hasty is threads that gives up at the errors of accept that are disputed.
func hasty(args []string) int {
	listener, err := net.Listen("tcp", args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		conn, err := listener.Accept()
		switch {
		case errors.Is(err, syscall.EPROTO) || errors.Is(err, syscall.ENOBUFS):
			fmt.Fprintln(os.Stderr, err)
			return 1
		case err != nil:
			time.Sleep(5 * time.Millisecond) // at other errors it does not spin
			continue
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(struct{ io.Writer }{conn}, conn) // the client has left
		}()
	}
}

// impatient is threads that end a client from which no second message has come after a moment, its last argument.
func impatient(args []string) int {
	moment, err := time.ParseDuration(args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return threadsAt(net.ListenConfig{}, args, func(listener net.Listener) int {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return 1
			}
			go func() {
				defer conn.Close()
				said := make([]byte, 1<<10)
				for {
					n, err := conn.Read(said)
					if err == nil {
						_, err = conn.Write(said[:n])
					}
					if err != nil || conn.SetReadDeadline(time.Now().Add(moment)) != nil {
						return
					}
				}
			}()
		}
	})
}

// heir is threads with a child that has the listening socket and does not accept.
func heir(args []string) int {
	return threadsAt(net.ListenConfig{}, args, func(listener net.Listener) int {
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		helper := exec.Command("sleep", "1000")
		helper.SysProcAttr, helper.ExtraFiles = pdeathsig(), []*os.File{file}
		if err := helper.Start(); err != nil {
			fmt.Fprintln(os.Stderr, "start the helper:", err)
			return 1
		}
		file.Close()
		return echo(listener)
	})
}

// TestWarnings: what is disputed is told, and fails nothing.
func TestWarnings(t *testing.T) {
	t.Parallel()
	hasty := cli.BuiltIn()
	hasty.Command[0] = rig.Program("hasty").Args[0]
	patient := cli.BuiltIn("-defect", "no-keepalive")
	patient.Service.Name = "http" // it converses as with echo
	for name, story := range map[string]struct {
		subject  judge.Subject
		findings []string
		says     string
	}{
		"accept-aborted":  {hasty, []string{"EPROTO"}, "the listener ends when accept fails with EPROTO; the listener survived ECONNABORTED"},
		"accept-short":    {hasty, []string{"ENOBUFS"}, "the listener ends when accept fails with ENOBUFS; the listener survived ENFILE, ENOMEM"},
		"backlog-burst":   {cli.BuiltIn("-backlog", "120"), []string{"backlog-small"}, "the backlog is less than 128; all clients are served; the backlog is 120"},
		"vanished-client": {patient, nil, "no keep-alive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			selected, err := checks.Select(name)
			require.NoError(t, err)
			result := selected[0].Judge(t, story.subject, rig.IPv4)
			assert.Equal(t, scorecard.Warn, result.Verdict, "%+v", result)
			assert.Equal(t, story.findings, result.Findings)
			assert.Contains(t, result.Observed, story.says)
			assert.NotEmpty(t, result.Remedy)
		})
	}
}

// TestByDesign: a fail that is meant is none, and says what it found; a pass says that what
// is meant was not seen.
func TestByDesign(t *testing.T) {
	t.Parallel()
	selected, err := checks.Select("second-instance")
	require.NoError(t, err)
	subject := cli.BuiltIn("-defect", "reuseport")
	subject.ByDesign = []string{"concurrent", "second-instance"}
	result := selected[0].Judge(t, subject, rig.IPv4)
	assert.Equal(t, scorecard.ByDesign, result.Verdict, "%+v", result)
	assert.Contains(t, result.Observed, "two instances listen on the same port")
	assert.NotEmpty(t, result.Remedy)

	subject.Command = cli.BuiltIn().Command
	result = selected[0].Judge(t, subject, rig.IPv4)
	passes(t, result)
	assert.Contains(t, result.Observed, "by design, but not seen")
}

// mute accepts, and says nothing.
func mute(args []string) int {
	listener, err := net.Listen("tcp", args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return 1
		}
		defer conn.Close()
	}
}
