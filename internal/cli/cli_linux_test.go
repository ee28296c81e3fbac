// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/schematest"
	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/scorecard"
	"forkrig/server/forkserver"
)

// commandEnv makes this test binary the command.
const commandEnv = "FORKRIG_CLI_COMMAND"

func TestMain(m *testing.M) {
	programs := rig.Programs{"server": forkserver.Main, "inject": inject.Shim}
	if os.Getenv(commandEnv) != "" {
		os.Exit(Main(os.Args, programs))
	}
	rig.Dispatch(programs)
	os.Exit(m.Run())
}

// forkrig is the command as a process of its own.
func forkrig(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "FORKRIG_SANDBOX=") || strings.HasPrefix(e, "GITHUB_")
	}), commandEnv+"=yes")
	return cmd
}

// run runs the command and returns what it printed and its status.
func run(t *testing.T, args ...string) (output string, status int) {
	t.Helper()
	text, err := forkrig(args...).CombinedOutput()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return string(text), exit.ExitCode()
	}
	require.NoError(t, err)
	return string(text), 0
}

// wrongServer is the built-in server with a defect, as a subject.
var wrongServer = []string{"--", rig.Program("server").Args[0], "-listen", "{ip}:{port}", "-defect", "no-reuseaddr"}

func TestStatusesAndErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing, foreign, card := filepath.Join(dir, "missing.json"), filepath.Join(dir, "other.json"), filepath.Join(dir, "card.json")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other.md"), []byte("# Notes\n"), 0o666))
	require.NoError(t, scorecard.WriteFile(card, scorecard.Card{Subject: "a \n b", Complete: true, Checks: []scorecard.Result{{Name: "reap", Verdict: scorecard.Pass}}}))
	wrongDialogue, rightDialogue := filepath.Join(dir, "wrong"), filepath.Join(dir, "right")
	require.NoError(t, os.WriteFile(wrongDialogue, []byte("# two lines\n> \"PING\" < ..\n"), 0o666))
	require.NoError(t, os.WriteFile(rightDialogue, []byte("# echo\n> \"ping {n}\\n\"\n< \"ping {n}\\n\" # the same\n"), 0o666))
	server := rig.Program("server").Args[0]
	for _, v := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"version"}, statusRight, "forkrig"},
		{[]string{"list"}, statusRight, "reap-burst"},
		{[]string{"judge", "-checks", "list"}, statusRight, "reap-burst"},
		{[]string{"-help"}, statusRight, "forkrig judge"},
		{[]string{"judge", "-help"}, statusRight, "-scorecard FILE"},
		{[]string{"juge"}, statusUsage, `no command "juge"`},
		{[]string{"judge", "-chekcs", "reap"}, statusUsage, "-chekcs"},
		{[]string{"judge", "-family", "5"}, statusUsage, `-family "5": give 4 or 6`},
		{[]string{"judge", "-checks", "reap,raep"}, statusUsage, `no check called "raep"`},
		{[]string{"judge", "-service", "upper"}, statusUsage, "give the subject's command"},
		{[]string{"judge", "-by-design", "reap,raep", "--", "a", "{port}"}, statusUsage, `-by-design: there is no check called "raep"`},
		{[]string{"judge", "-by-design", "reap"}, statusUsage, "give the subject's command"},
		{[]string{"judge", "-strict", "-baseline", card}, statusUsage, "exclude each other"},
		{[]string{"judge", "-checks", "accept-errors", "-family", "4"}, statusRight, "accept-errors is now accept-aborted, accept-emfile and accept-short"},
		{[]string{"judge", "-service", "chat", "--", "a", "{port}"}, statusUsage, `-service: service "chat" is not a preset: give echo, upper, none, http,`},
		{[]string{"judge", "-service", "> 'PING'", "--", "a", "{port}"}, statusUsage, "-service: dialogue, column 3, at `'PING'`: this is not part of a dialogue: write hello, round,"},
		{[]string{"judge", "-service=", "--", "a", "{port}"}, statusUsage, "-service is empty: give a value, or omit the flag"},
		{[]string{"judge", "-service", "@" + missing, "--", "a", "{port}"}, statusUsage, "missing.json: stat " + missing + ": no such file"},
		{[]string{"judge", "-service", "@/dev/zero", "--", "a", "{port}"}, statusUsage, "-service @/dev/zero: this is not a file with a dialogue: give a regular file"},
		{[]string{"judge", "-service", "@" + wrongDialogue, "--", "a", "{port}"}, statusUsage, "dialogue, line 3, column 1, at the end: .. has no end here: write "},
		{[]string{"judge", "-service", "http", "-closes", "client", "--", "a", "{port}"}, statusUsage, "so the server closes first: leave it out, or give another dialogue"},
		{[]string{"judge", "-checks", "bytes-exact", "-family", "4", "--", server, "-listen", "{ip}:{port}", "-service", "upper"}, statusRight, "service seen: upper"},
		{[]string{"judge", "-checks", "reap", "-family", "4", "-service", "@" + rightDialogue, "--", server, "-listen", "{ip}:{port}"}, statusRight,
			`service given: round > "ping {n}\n" < "ping {n}\n"`},
		{[]string{"judge", "-checks", "reap", "-family", "4", "-service", "echo", "--", server, "-listen", "{ip}:{port}", "-service", "upper"}, statusUsage,
			"given: echo; seen: upper: "},
		{[]string{"judge", "-checks", "reap", "--"}, statusUsage, "the command after -- is empty"},
		{[]string{"search", "--"}, statusUsage, "the command after -- is empty"},
		{[]string{"judge", "-4"}, statusUsage, "flag provided but not defined: -4: forkrig help lists"},
		{[]string{"search", "-4", "--", "a", "{port}"}, statusUsage, "flag provided but not defined: -4: forkrig help lists"},
		{[]string{"judge", "-checks", ""}, statusUsage, "-checks is empty"},
		{[]string{"judge", "-family="}, statusUsage, "-family is empty"},
		{[]string{"judge", "-subject-user=", "--", "a", "{port}"}, statusUsage, "-subject-user is empty"},
		{[]string{"judge", "-storm-signals=", "--", "a", "{port}"}, statusUsage, "-storm-signals is empty"},
		{[]string{"list", "extra"}, statusUsage, "takes no arguments"},
		{[]string{"show", "/dev/zero"}, statusUsage, "/dev/zero"},
		{[]string{"judge", "-checks", "reap", "-family", "4", "--", server, "-listen", "{ip}:7777"}, statusRight, "listens on {ip}:7777 backlog "},
		{[]string{"judge", "-checks", "reap", "-family", "4", "--", server, "-listen", "127.0.0.1:7777"}, statusUnable,
			"it listens on 127.0.0.1:7777 only, which clients on other hosts cannot reach: write {ip} in its command instead of the address"},
		{[]string{"judge", "-subject", "a {port}", "--", "b", "{port}"}, statusUsage, "given twice"},
		{[]string{"judge", "-scorecard", "card.md", "--", "a", "{port}"}, statusUsage, "the name of the JSON file"},
		{[]string{"judge", "-scorecard", "/dev/shm/card.json"}, statusUsage, "the sandbox has a /dev/shm of its own"},
		{[]string{"judge", "-baseline", missing}, statusUsage, "no such file"},
		{[]string{"judge", "-within", "-1s"}, statusUsage, "of 0 or more"},
		{[]string{"judge", "-checks", "reap", "-checks", "term"}, statusUsage, "the flag is there twice"},
		{[]string{"judge", "-ready", "1ns", "--", "server", "{port}"}, statusUsage, "give a time from 10ms to 1h"},
		{[]string{"show", missing}, statusUsage, "no such file"},
		{[]string{"diff", missing}, statusUsage, "forkrig diff OLD.json NEW.json"},
		{[]string{"merge", "out"}, statusUsage, "forkrig merge OUT CARD"},
		{[]string{"version", "extra"}, statusUsage, "takes no arguments"},
		{[]string{"-version"}, statusRight, "forkrig"},
		{[]string{"help"}, statusRight, "COMMANDS"},
		{[]string{"help", "judge"}, statusRight, "-scorecard FILE"},
		{[]string{"help", "juge"}, statusUsage, `no command "juge"`},
		{[]string{"judge", "-h", "--", "server", "{port}"}, statusRight, "-scorecard FILE"},
		{[]string{"completion", "bash"}, statusRight, "completion script of forkrig for bash"},
		{[]string{"completion", "tcsh"}, statusUsage, `no completion for "tcsh": give bash, zsh or fish`},
		{[]string{"completion"}, statusUsage, "forkrig completion bash|zsh|fish"},
		{[]string{"man"}, statusRight, `.TH "FORKRIG" "1"`},
		{[]string{"judge", "--generate-shell-completion"}, statusUsage, "generate-shell-completion"},
		{[]string{"judge", "-scorecard", "-"}, statusUsage, "or /dev/stdout"},
		{[]string{"judge", "-junit", "-"}, statusUsage, "-junit -: give the name of a file, or /dev/stdout"},
		{[]string{"judge", "-junit="}, statusUsage, "-junit is empty"},
		{[]string{"judge", "-events="}, statusUsage, "-events is empty"},
		{[]string{"judge", "-junit", "a.json", "-scorecard", "./a.json"}, statusUsage, "-scorecard and -junit are both a.json: give two names"},
		{[]string{"judge", "-events", "a.md", "-scorecard", "a.json"}, statusUsage, "-events a.md is the name of the Markdown of -scorecard"},
		{[]string{"judge", "-junit", "a", "-events", "./b/../a"}, statusUsage, "-events and -junit are both a: give two names"},
		{[]string{"judge", "-baseline", card, "-junit", card}, statusUsage, "-baseline and -junit are both " + card},
		{[]string{"judge", "-baseline", card, "-events", dir + "/../" + filepath.Base(dir) + "/card.json"}, statusUsage, "-baseline and -events are both "},
		{[]string{"judge", "-checks", "reap", "-junit", "no/junit.xml"}, statusUsage, "-junit: write JUnit: open no/junit.xml: no such file"},
		{[]string{"judge", "-checks", "reap", "-events", "no/events"}, statusUsage, "-events: open no/events: no such file"},
		{[]string{"judge", "-events", "/dev/shm/e"}, statusUsage, "the sandbox has a /dev/shm of its own"},
		{[]string{"search", "-junit", "a.xml"}, statusUsage, "-junit: a search writes a card only with -soak"},
		{[]string{"merge", "-junit", "no/junit.xml", "out", card}, statusUsage, "-junit: stat no: no such file"},
		{[]string{"merge", "-junit", "-", "out", card}, statusUsage, "-junit -: give the name of a file"},
		{[]string{"kernels", "-on", "host", "-lines", "-events", "-"}, statusUsage, "-lines and -events exclude each other"},
		{[]string{"kernels", "-on", "host", "-json", "a", "-events", "a"}, statusUsage, "-json and -events are both a: give two names"},
		{[]string{"judge", "-checks", "reap", "-scorecard", foreign}, statusUsage, "other.md would be replaced"},
		{[]string{"judge", "-checks", "reap", "-scorecard", "no/../card.json"}, statusUsage, "open no/../card.json: no such file"},
		{[]string{"judge", "-parallel", "1001"}, statusUsage, "-parallel 1001: give at most 1000"},
		{[]string{"judge", "-subject-user", "no-such-user", "--", "a", "{port}"}, statusUsage, `-subject-user: look up user "no-such-user"`},
		{[]string{"replay", card}, statusUsage, "this is a scorecard and not a story"},
		{[]string{"show", card}, statusRight, `a \x0a b`},
		{[]string{"judge", "-checks", "reap", "-family", "4", "-ready", "1s", "--", "sh", "-c", "sleep 1000", "{port}"}, statusUnable, "listening on port 9999"},
		{[]string{"judge", "-checks", "reap", "-family", "4", "--", "sh", "-c", "f() { f | f & }; f # {port}"}, statusWrong, "1,000 processes"},
		{[]string{"judge", "-checks", "reap", "-family", "4", "-port", "7777", "--", server, "-listen", "{ip}:{port}"}, statusRight, "1 pass"},
		{[]string{"replay"}, statusUsage, "give the file of a story"},
		{[]string{"replay", missing}, statusUsage, "no such file"},
		{[]string{"search", "-shard", "4/4"}, statusUsage, "the first is 0"},
		{[]string{"judge", "-checks", "reap", "--", "false", "{port}"}, statusUnable, "the subject cannot be judged"},
	} {
		t.Run(strings.Join(v.args, " "), func(t *testing.T) {
			t.Parallel()
			output, status := run(t, v.args...)
			assert.Equal(t, v.status, status, output)
			assert.Contains(t, output, v.says)
		})
	}
}

// TestWrongEnvironment is refused as wrong flags are.
func TestWrongEnvironment(t *testing.T) {
	t.Parallel()
	for variable, says := range map[string]string{
		"FORKRIG_TIME_SCALE=fast": `FORKRIG_TIME_SCALE="fast" is not a factor`,
		"FORKRIG_WATCHDOG=never":  `FORKRIG_WATCHDOG="never" is not a time above 0`,
		"FORKRIG_SEED=x":          `FORKRIG_SEED="x" is not a seed`,
		"FORKRIG_SUBJECT=a":       "by the environment variable FORKRIG_SUBJECT and after --",
	} {
		cmd := forkrig("judge", "-checks", "reap", "--", "server", "{port}")
		cmd.Env = append(cmd.Env, variable)
		text, _ := cmd.CombinedOutput()
		assert.Equal(t, statusUsage, cmd.ProcessState.ExitCode(), "%s: %s", variable, text)
		assert.Contains(t, string(text), says)
		assert.Equal(t, 1, strings.Count(string(text), "\n"), "%s", text)
	}
}

// TestFullDisk: what cannot be printed does not look right.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	for _, args := range []string{"list", "version", "help", "judge -checks reap -family 4"} {
		cmd := forkrig(strings.Fields(args)...)
		var complaint bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &complaint
		require.Error(t, cmd.Run(), args)
		assert.Equal(t, statusUnable, cmd.ProcessState.ExitCode(), args)
		assert.Equal(t, "forkrig: print the result: write /dev/stdout: no space left on device\n", complaint.String(), args)
	}
}

// TestJudgeWritesACard, which is read again; flags have one dash or two.
func TestJudgeWritesACard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	card := filepath.Join(dir, "card.json")
	output, status := run(t, append([]string{"judge", "-scorecard", card, "--checks", "reap,reuse-time-wait", "-family=4"}, wrongServer...)...)
	assert.Equal(t, statusWrong, status, output)
	assert.Regexp(t, `(?m)^pass +reap +IPv4`, output)
	assert.Regexp(t, `(?m)^fail +reuse-time-wait +IPv4`, output)
	assert.Contains(t, output, "judge -checks reuse-time-wait -family 4 -- forkrig:server -listen '{ip}:{port}' -defect no-reuseaddr")

	text, err := os.ReadFile(card)
	require.NoError(t, err)
	assert.NoError(t, schematest.Compile(t, "card.schema.json").Check(string(text)))
	read, err := scorecard.ReadFile(card)
	require.NoError(t, err)
	assert.True(t, read.Complete)
	assert.Empty(t, read.EndedBy)
	require.Len(t, read.Checks, 2)
	markdown, err := os.ReadFile(filepath.Join(dir, "card.md"))
	require.NoError(t, err)
	assert.Contains(t, string(markdown), "reuse-time-wait")

	// The same is no worse than itself, and the right server is better.
	output, status = run(t, append([]string{"judge", "-baseline", card, "-checks", "reap,reuse-time-wait", "-family", "4"}, wrongServer...)...)
	assert.Equal(t, statusRight, status, output)
	better := filepath.Join(dir, "better.json")
	output, status = run(t, "judge", "-scorecard", better, "-checks", "reap,reuse-time-wait", "-family", "4")
	assert.Equal(t, statusRight, status, output)
	output, status = run(t, "diff", card, better)
	assert.Equal(t, statusRight, status, output)
	assert.Contains(t, output, "better")
	output, status = run(t, "diff", better, card)
	assert.Equal(t, statusWrong, status, output)
	output, status = run(t, "show", card)
	assert.Equal(t, statusWrong, status, output)
	assert.Contains(t, output, "reuse-time-wait over IPv4: fail")
}

// TestInterruptedRunKeepsWhatIsKnown ends a run in different ways when its first check has
// ended.
func TestInterruptedRunKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGKILL} {
		t.Run(rig.SignalName(s), func(t *testing.T) {
			t.Parallel()
			card := filepath.Join(t.TempDir(), "card.json")
			junit := filepath.Join(filepath.Dir(card), "junit.xml")
			cmd := forkrig("judge", "-scorecard", card, "-junit", junit, "-parallel", "1", "-family", "4")
			var errors bytes.Buffer
			cmd.Stderr = &errors
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			head := make([]byte, 1<<10)
			seen := ""
			for !strings.Contains(seen, "\npass ") {
				n, err := out.Read(head)
				require.NoError(t, err, seen)
				seen += string(head[:n])
			}
			require.NoError(t, cmd.Process.Signal(s))
			_ = cmd.Process.Signal(s)       // as timeout(1) does; it may have ended
			_, _ = io.Copy(io.Discard, out) // until all of it has ended
			err = cmd.Wait()
			require.Error(t, err)
			if s != syscall.SIGKILL {
				assert.Equal(t, statusWrong, cmd.ProcessState.ExitCode(), errors.String())
			}
			read, err := scorecard.ReadFile(card)
			require.NoError(t, err)
			assert.False(t, read.Complete)
			assert.False(t, read.OK())
			counts := read.Counts()
			assert.Positive(t, counts.Pass, "what was known")
			assert.Positive(t, counts.Broken, "what was not judged")
			var whole bytes.Buffer
			require.NoError(t, read.WriteJUnit(&whole))
			text, err := os.ReadFile(junit)
			require.NoError(t, err)
			assert.Equal(t, whole.String(), string(text))
			last := read.Checks[len(read.Checks)-1]
			assert.True(t, last.Unjudged)
			if s == syscall.SIGKILL {
				assert.Equal(t, "not judged: the run did not finish", last.Reason)
			} else {
				assert.Equal(t, rig.SignalName(s), read.EndedBy)
				assert.Equal(t, "not judged: ended by "+rig.SignalName(s), last.Reason)
			}
		})
	}
}

// TestCardInANamedPipe is refused, because without its other end it would block the run.
func TestCardInANamedPipe(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	for _, args := range [][]string{{"judge", "-checks", "reap", "-scorecard", fifo}, {"judge", "-checks", "reap", "-baseline", fifo}, {"show", fifo}} {
		output, status := run(t, args...)
		assert.Equal(t, statusUsage, status, output)
		assert.Contains(t, output, "is a named pipe")
	}
}

// TestTimeLimit ends a run.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	card := filepath.Join(t.TempDir(), "card.json")
	output, status := run(t, "judge", "-scorecard", card, "-within", "3s", "-parallel", "1")
	assert.Contains(t, []int{statusWrong, statusUnable}, status, output)
	assert.Contains(t, output, "incomplete: ended by -within 3s")
	read, err := scorecard.ReadFile(card)
	require.NoError(t, err)
	assert.Equal(t, "-within 3s", read.EndedBy)
}

// TestFlagsAreOurs: none has the name of a flag of go test's.
func TestFlagsAreOurs(t *testing.T) {
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	TestFlags(set)
	gotest := strings.Fields("bench benchtime count cover cpu exec fullpath fuzz json list o outputdir parallel run short shuffle skip timeout trace v vet")
	names := 0
	set.VisitAll(func(f *flag.Flag) {
		names++
		assert.NotContains(t, gotest, f.Name, "a flag of go test")
	})
	assert.Positive(t, names)
}

// TestGoTestFlags says what the flags of a test binary mean.
func TestGoTestFlags(t *testing.T) {
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	o := TestFlags(set)
	require.NoError(t, set.Parse([]string{"-subject", "socat 'TCP{family}-LISTEN:{port}' EXEC:cat", "-keeps-vanished", "-family", "6", "-checks=reap"}))
	require.NoError(t, o.check())
	assert.True(t, o.Asked())
	assert.Equal(t, []string{"socat", "TCP{family}-LISTEN:{port}", "EXEC:cat"}, o.judged.Command)
	assert.Equal(t, []string{"vanished-client"}, o.judged.ByDesign)
	assert.Contains(t, o.repeatCommand(7, "judge"), "FORKRIG_SEED=7 forkrig judge -keeps-vanished=true -- socat 'TCP{family}-LISTEN:{port}' EXEC:cat")
}

func TestMergeTellsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	leave := func(shard string, verdict scorecard.Verdict) string {
		dir := filepath.Join(in, strings.ReplaceAll(shard, "/", "-"))
		require.NoError(t, os.Mkdir(dir, 0o777))
		text, err := json.Marshal(map[string]any{"schema": 2, "complete": true, "ended_by": "", "subject": "s", "kernel": "", "seed": 1, "shard": shard,
			"checks": []map[string]any{{"name": "search", "verdict": verdict}}})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, scorecard.CardFile), text, 0o666))
		return dir
	}
	first, second, third := leave("0/3", scorecard.Pass), leave("1/3", scorecard.Fail), leave("2/3", scorecard.Pass)
	require.NoError(t, os.WriteFile(filepath.Join(second, "story-1\x1b[2J.md"), nil, 0o666))
	for _, v := range []struct {
		name        string
		directories []string
		says, hides string
	}{
		{"all", []string{first, second, third}, "in 1 of 3 runs", "missing"},
		{"the story", []string{second}, `failing story: ` + in + `/1-out/story-1\x1b[2J.md`, "\x1b"},
		{"a missing one", []string{first, third}, "shards missing: 1 of 3", "not right"},
	} {
		t.Run(v.name, func(t *testing.T) {
			out, junit := filepath.Join(in, fmt.Sprint(len(v.directories), "-out")), filepath.Join(t.TempDir(), "junit.xml")
			text, status := run(t, append([]string{"merge", "-junit", junit, out}, v.directories...)...)
			assert.FileExists(t, junit)
			assert.NoError(t, os.RemoveAll(out))
			assert.Equal(t, statusWrong, status)
			assert.Contains(t, text, v.says)
			assert.NotContains(t, text, v.hides)
		})
	}
}

func TestSinceIsForPeople(t *testing.T) {
	assert.Equal(t, "1m30s", since(time.Now().Add(-90*time.Second)).String())
	assert.Equal(t, "1.5s", since(time.Now().Add(-1500*time.Millisecond)).String())
}

// TestShowOneCheck prints all of it, and names those of the card where it is not there.
func TestShowOneCheck(t *testing.T) {
	t.Parallel()
	card := filepath.Join(t.TempDir(), "card.json")
	require.NoError(t, scorecard.WriteFile(card, scorecard.Card{Subject: "s", Complete: true, Checks: []scorecard.Result{
		{Name: "reap", Family: "IPv4", Verdict: scorecard.Pass, Observed: "all are reaped"},
		{Name: "term", Family: "IPv4", Verdict: scorecard.Fail, Observed: "it stays", Evidence: strings.Fields("1 2 3 4 5 6 7 8 9 evidence-10")},
	}}))
	for _, v := range []struct {
		check, says, hides string
		status             int
	}{
		{"reap", "reap over IPv4: pass\n  observed   all are reaped\n", "term", statusRight},
		{"term", "\n    evidence-10\n", "reap", statusWrong},
		{"raep", `no check called "raep": it has reap and term`, "over", statusUsage},
	} {
		output, status := run(t, "show", card, v.check)
		assert.Equal(t, v.status, status, output)
		assert.Contains(t, output, v.says)
		assert.NotContains(t, output, v.hides)
	}
	output, status := run(t, "show", card)
	assert.Equal(t, statusWrong, status)
	assert.Contains(t, output, "\npass 1: reap\n")
	assert.True(t, strings.HasSuffix(output, "\nall evidence: forkrig show "+card+" CHECK\n"), output)
}
