// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig/internal/sandbox"
)

// stillEnv makes TestStandsStill stand still until its standard input ends.
const stillEnv = "FORKRIG_TEST_STANDS_STILL"

// lastWords are what that test records when its lab is made.
const lastWords = "from here on nothing happens"

// TestStandsStill is what the watchdog's tests run in a sandbox of its own.
func TestStandsStill(t *testing.T) {
	if os.Getenv(stillEnv) == "" {
		t.Skip("the watchdog's tests run it")
	}
	lab := New(t)
	server, client := lab.NewHost("server"), lab.NewHost("client")
	lab.NewLink(server, client)
	target := netip.AddrPortFrom(server.MustAddr(IPv4), 7000)
	p := startReady(t, server, Program("stubborn"))
	listener, err := server.Listen(t.Context(), target)
	require.NoError(t, err)
	defer listener.Close()
	conn, err := client.Dial(t.Context(), target)
	require.NoError(t, err)
	defer conn.Close()
	p.Record(lastWords)
	_, _ = io.Copy(io.Discard, os.Stdin)
	require.NoError(t, p.Kill(t.Context()))
}

// startStill starts that test, and returns its standard error line by line.
func startStill(t *testing.T, limit string, args ...string) (cmd *exec.Cmd, stdin io.Closer, stderr *bufio.Scanner) {
	t.Helper()
	SkipIfMissing(t, seesSystemCalls()) // which the watchdog names
	cmd = exec.Command("/proc/self/exe", append([]string{"-test.run=^TestStandsStill$"}, args...)...)
	cmd.Env = append(sandbox.WithoutPrivateEnv(os.Environ()), stillEnv+"=yes", watchdogEnv+"="+limit)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // where the test fails
	stderr = bufio.NewScanner(out)
	stderr.Buffer(nil, 1<<20)
	return cmd, in, stderr
}

// barked reads up to the end of what the watchdog says.
func barked(t *testing.T, stderr *bufio.Scanner) string {
	t.Helper()
	var b strings.Builder
	for stderr.Scan() {
		b.WriteString(stderr.Text() + "\n")
		if strings.Contains(stderr.Text(), "watchdog: that is all") {
			return b.String()
		}
	}
	t.Fatalf("it ended without a word of the watchdog: %s", b.String())
	return ""
}

// describesTheLab checks that test, host, process, socket, journal and goroutine
// are named.
func describesTheLab(t *testing.T, text string) {
	t.Helper()
	for _, want := range []string{
		`lab of TestStandsStill:`,
		`host server\n    stubborn pid \d+, child of \d+, sleeping`,
		`thread \d+: state S, in \w+\(0x`,
		`LISTEN 10\.0\.1\.1:7000`,
		`ESTABLISHED 10\.0\.1\.2:\d+→10\.0\.1\.1:7000`,
		`server/stubborn +from here on nothing happens`,
		`goroutine \d+ [^\n]*\n(.*\n)*forkrig/rig\.TestStandsStill`,
		`deadlines are [\d.]+ times those of an idle machine`,
	} {
		assert.Regexp(t, want, text)
	}
}

func TestWatchdogTellsOfAStandstillOnce(t *testing.T) {
	t.Parallel()
	limit := scaled(400 * time.Millisecond).String()
	cmd, stdin, stderr := startStill(t, limit)
	text := barked(t, stderr)
	for !strings.Contains(text, lastWords) {
		text = barked(t, stderr) // on a busy machine the lab stood still while it was made
	}
	assert.Contains(t, text, "TestStandsStill stands still: for "+limit+" nothing has happened in its lab")
	describesTheLab(t, text)
	require.NoError(t, stdin.Close())
	rest := ""
	for stderr.Scan() {
		rest += stderr.Text() + "\n"
	}
	require.NoError(t, cmd.Wait(), "it ends nothing: %s", rest)
	// What it may tell of is another standstill, at the end of the lab on a busy machine.
	for _, told := range strings.Split(rest, " stands still: ")[1:] {
		assert.NotRegexp(t, lastWords+`\nall goroutines`, told, "the same standstill")
	}
}

func TestWatchdogTellsBeforeTheTimeout(t *testing.T) {
	t.Parallel()
	timeout := scaled(6 * time.Second) // in which the lab is made
	cmd, _, stderr := startStill(t, "1h", "-test.timeout="+timeout.String())
	text := barked(t, stderr)
	assert.Regexp(t, `-test\.timeout ends the tests in \d`, text)
	describesTheLab(t, text)
	rest := ""
	for stderr.Scan() {
		rest += stderr.Text() + "\n"
	}
	require.Error(t, cmd.Wait())
	assert.Contains(t, rest, "panic: test timed out after "+timeout.String())
}

func TestWatchdogTellsOnSIGQUIT(t *testing.T) {
	t.Parallel()
	cmd, _, stderr := startStill(t, "1h")
	first := startStillAnswers(t, cmd, stderr)
	assert.Contains(t, first, "SIGQUIT came")
	rest := ""
	for stderr.Scan() {
		rest += stderr.Text() + "\n"
	}
	require.Error(t, cmd.Wait())
	assert.Equal(t, 2, cmd.ProcessState.ExitCode())
	assert.Contains(t, rest, "SIGQUIT: quit")
}

// startStillAnswers sends SIGQUIT as soon as the process has a child in a sandbox
// of its own, and returns what the watchdog says.
func startStillAnswers(t *testing.T, cmd *exec.Cmd, stderr *bufio.Scanner) string {
	t.Helper()
	require.NoError(t, Await(t.Context(), "the program of the test that stands still", func() (bool, string, error) {
		all, err := everyProcess()
		below := all.Descendants(cmd.Process.Pid)
		for _, p := range below {
			if p.Name == "stubborn" {
				return true, "", nil
			}
		}
		return false, below.String(), err
	}))
	require.NoError(t, cmd.Process.Signal(syscall.SIGQUIT))
	return barked(t, stderr)
}

func TestWatchdogLimit(t *testing.T) {
	for text, want := range map[string]time.Duration{"": Patience() * 3 / 2, "30s": 30 * time.Second, "0": 0, "-1s": 0, "soon": 0} {
		t.Setenv(watchdogEnv, text)
		limit, err := watchdogLimit()
		assert.Equal(t, want, limit, text)
		assert.Equal(t, want == 0, err != nil, text)
	}
}

func BenchmarkWatchdogLooks(b *testing.B) {
	lab := New(b)
	lab.NewStar("center", "leaf", 8)
	w := &watchdog{limit: time.Nanosecond, labs: map[*Lab]*stillness{lab: {events: lab.Journal.count(), told: true}}}
	for b.Loop() {
		w.standing()
	}
}
