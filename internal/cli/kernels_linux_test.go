// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/kernels"
	"forkrig/kernels/archive"
	"forkrig/rig"
	"forkrig/scorecard"
)

// TestKernelsRefuses what is wrong before any kernel runs.
func TestKernelsRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noKernel := filepath.Join(dir, "vmlinuz")
	require.NoError(t, os.WriteFile(noKernel, []byte("no kernel"), 0o666))
	for _, v := range []struct {
		args string // separated by blanks
		says string
	}{
		{"-on=", "-on is empty: give a value, or omit the flag"},
		{"-on 6.12,,host", "-on: a name is empty: give kernels such as 5.10,6.12.43,host"},
		{"-on host,6.12,host", "-on: host is there twice"},
		{"-on /no/such/bzImage", "-on: open a kernel: open /no/such/bzImage: no such file or directory: give the path of a bzImage or of linux.uml"},
		{"-on host -kernel " + noKernel, noKernel + ": it is neither a bzImage nor a User-mode Linux: give the path of a bzImage"},
		{"-jobs x", `-jobs: there is no job "x": give some of probes, binds and card`},
		{"-jobs probes,", `-jobs: there is no job "": give some of probes, binds and card`},
		{"-probes K999", `-probes: there is no probe "K999": forkrig kernels -on host -jobs probes lists them`},
		{"-probes=", "-probes is empty"},
		{"-lines", "-lines is for this machine's kernel: give -on host, too"},
		{"-lines -on host,6.12", "-lines is for this machine's kernel: give -on host, too"},
		{"-limit 0s", "-limit takes a time of more than 0"},
		{"-guests -1", "-guests a number of 0 or more"},
		{"-tests /no/such.test", "-tests: stat /no/such.test: no such file or directory: give test binaries, as go test -c makes them, separated by commas"},
		{"-tests /etc/passwd", "-tests: /etc/passwd is not a program"},
		{"-run TestX", "-run chooses tests of -tests: give -tests, too"},
		{"-tests /bin/true -run (", "-run: error parsing regexp"},
		{"-with /no/such/file", "-with: stat /no/such/file: no such file or directory: give files and directories, separated by commas"},
		{"-json no/../table.json", "-json: open no/../table.json: no such file"},
		{"-json table.md", "-json: table.md: give the name of the JSON file"},
		{"-checks raep", `-checks: there is no check called "raep"`},
		{"-service http", "no subject is given: give the subject's command, too"},
		{"-parallel 2", "-parallel"},
		{"6.12", `"6.12": give fetch, list, or -- before the subject's command`},
		{"list all", `"list": give fetch, list, or --`},
		{"--", "the command after -- is empty"},
	} {
		t.Run(v.args, func(t *testing.T) {
			t.Parallel()
			output, status := run(t, append([]string{"kernels"}, strings.Fields(v.args)...)...)
			assert.Equal(t, statusUsage, status, output)
			assert.Contains(t, output, v.says)
			assert.NotContains(t, output, "host: ", "nothing has run")
		})
	}
	output, status := run(t, "kernels", "-help")
	assert.Equal(t, statusRight, status)
	assert.Contains(t, output, "-guests N")
}

// TestKernelsOnThisMachine: the table is printed and written, and the file is read by other commands.
func TestKernelsOnThisMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "table.json")
	output, status := run(t, "kernels", "-on", "host", "-jobs", "probes", "-probes", "K15,K13", "-json", file)
	assert.Equal(t, statusRight, status, output)
	assert.Regexp(t, `(?m)^\| K15 .*\| \d of 3 connect +\|$`, output)
	assert.Regexp(t, `(?m)^\| K13 .*\| (OK|EOPNOTSUPP) +\|$`, output)
	assert.Contains(t, output, "kernels -on host -jobs probes -probes K15`")

	table, err := kernels.Read(file)
	require.NoError(t, err)
	require.Len(t, table.Kernels, 1)
	assert.Len(t, table.Kernels[0].Answers, 2)
	assert.Empty(t, table.Kernels[0].Lost)
	text, err := os.ReadFile(filepath.Join(dir, "table.md"))
	require.NoError(t, err)
	assert.Contains(t, output, string(text))

	shown, status := run(t, "show", file)
	assert.Equal(t, statusRight, status, shown)
	assert.Contains(t, shown, "forkrig kernels -on host -jobs probes -probes K15")
	output, status = run(t, "show", file, "reap")
	assert.Equal(t, statusUsage, status)
	assert.Contains(t, output, `is a table of kernels and not a card: omit "reap"`)
	output, status = run(t, "diff", file, file)
	assert.Equal(t, statusRight, status, output)
	assert.Contains(t, output, "host: all answers are the same")
}

// TestKernelsJudges a subject: what a check finds decides the status, more than a kernel that is
// not here.
func TestKernelsJudges(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	for _, v := range []struct {
		on     string
		status int
		server []string
	}{
		{"host", statusRight, nil},
		{"host,6.12.43", statusUnable, nil},
		{"6.12.43,host", statusWrong, wrongServer},
	} {
		file := filepath.Join(t.TempDir(), "table.json")
		cmd := forkrig(append([]string{"kernels", "-on", v.on, "-jobs", "card", "-checks", "reuse-time-wait", "-family", "4", "-json", file}, v.server...)...)
		cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+cache)
		text, _ := cmd.CombinedOutput()
		output := string(text)
		assert.Equal(t, v.status, cmd.ProcessState.ExitCode(), output)
		if strings.Contains(v.on, "6.12.43") {
			assert.Contains(t, output, "nothing more is known of 6.12.43: kernel 6.12.43 is not in "+cache)
			assert.Contains(t, output, ": forkrig kernels fetch 6.12.43")
		}
		if v.server != nil {
			assert.Regexp(t, `(?m)^\| reuse-time-wait IPv4 +\| – +\| fail`, output)
			assert.Contains(t, output, "-jobs card -checks reuse-time-wait -family 4 -- forkrig:server -listen '{ip}:{port}' -defect no-reuseaddr`")
		}
		table, err := kernels.Read(file)
		require.NoError(t, err)
		i := strings.Index(v.on, "host") / len("6.12.43,")
		require.NotNil(t, table.Kernels[i].Card, output)
		assert.True(t, table.Kernels[i].Card.Complete)
	}
}

// TestKernelsIsInterrupted: the table has what is known, and nothing is left behind.
func TestKernelsIsInterrupted(t *testing.T) {
	t.Parallel()
	mark := "FORKRIG_CLI_MARK=" + t.Name()
	files, temporary := t.TempDir(), t.TempDir()
	file := filepath.Join(files, "table.json")
	cmd := forkrig("kernels", "-on", "host", "-jobs", "probes,card", "-json", file)
	cmd.Env = append(cmd.Env, mark, "TMPDIR="+temporary)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	seen := ""
	for told := bufio.NewScanner(stderr); told.Scan(); {
		seen += told.Text() + "\n"
		if told.Text() == "host: card" {
			require.Positive(t, marked(t, mark), "a process with the mark is found while it lives")
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		}
	}
	require.Error(t, cmd.Wait())
	assert.Contains(t, []int{statusWrong, statusUnable}, cmd.ProcessState.ExitCode(), "whether checks had begun: %s", seen)
	assert.Contains(t, seen, "nothing more is known of host: ended by SIGINT")
	assert.Eventually(t, func() bool { return marked(t, mark) == 0 }, rig.Scaled(10*time.Second), 10*time.Millisecond, "processes")
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left)
	table, err := kernels.Read(file)
	require.NoError(t, err)
	assert.Greater(t, len(table.Kernels[0].Answers), 20, "what was known")
}

// marked counts the processes that have a variable in their environment.
func marked(t *testing.T, variable string) (n int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(t, err)
	for _, name := range all {
		if text, err := os.ReadFile(name); err == nil && strings.Contains("\x00"+string(text), "\x00"+variable+"\x00") {
			n++
		}
	}
	return n
}

// TestTablesOfKernels: diff and merge take tables as they take cards.
func TestTablesOfKernels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, columns ...kernels.Column) string {
		path := filepath.Join(dir, name)
		file, err := os.Create(path)
		require.NoError(t, err)
		require.NoError(t, kernels.NewTable("", columns).WriteJSON(file))
		require.NoError(t, file.Close())
		return path
	}
	column := func(kernel string, verdict scorecard.Verdict) kernels.Column {
		return kernels.Column{Kernel: kernel, Card: &scorecard.Card{Complete: true, Checks: []scorecard.Result{{Name: "reap", Family: "IPv4", Verdict: verdict}}}}
	}
	right, wrong := write("right.json", column("6.12", scorecard.Pass)), write("wrong.json", column("6.12", scorecard.Fail))
	other := write("other.json", column("7.3", scorecard.Pass))
	card := filepath.Join(dir, "card.json")
	require.NoError(t, scorecard.WriteFile(card, scorecard.Card{Complete: true, Checks: []scorecard.Result{{Name: "reap", Verdict: scorecard.Pass}}}))
	out, out2 := filepath.Join(dir, "merged.json"), filepath.Join(dir, "merged2.json")
	for _, v := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"diff", right, wrong}, statusWrong, "1 worse"},
		{[]string{"diff", wrong, right}, statusRight, "1 better"},
		{[]string{"diff", right, other}, statusRight, "only in the old table: 6.12"},
		{[]string{"diff", right, card}, statusUsage, card + " is not a table of kernels"},
		{[]string{"diff", card, right}, statusUsage, card + " is not a table of kernels"},
		{[]string{"merge", out, wrong, other}, statusWrong, "merged into " + out},
		{[]string{"show", out}, statusWrong, "| reap IPv4 | fail | pass |"},
		{[]string{"merge", out, right}, statusUsage, "merged.json is there already: give the name of a new file"},
		{[]string{"merge", out2, right, wrong}, statusUsage, "two tables have the kernel 6.12: omit one of them"},
		{[]string{"merge", out2, right, card}, statusUsage, card + " is not a table of kernels"},
		{[]string{"merge", "no/../merged.json", right}, statusUsage, "no such file"},
		{[]string{"merge", out2, right, other}, statusRight, "1 of 1 checks end the same on all kernels, and do not fail"},
	} {
		output, status := run(t, v.args...)
		assert.Equal(t, v.status, status, "%v: %s", v.args, output)
		assert.Contains(t, output, v.says, "%v", v.args)
	}
	_, err := os.Stat(filepath.Join(dir, "merged.md"))
	assert.NoError(t, err)
}

// TestLackedFeaturesAreTheRigs: the driver of kernels knows the features of the rig by name only.
func TestLackedFeaturesAreTheRigs(t *testing.T) {
	lacks, err := kernels.Lacks("1.0", strings.NewReader(""))
	require.NoError(t, err)
	var all []string
	for _, f := range []rig.Feature{rig.FeatureIPv6, rig.FeatureSockDestroy, rig.FeatureProcSyscall, rig.FeatureTimeNamespace, rig.FeaturePIDMax,
		rig.FeatureNftables, rig.FeatureConntrack, rig.FeaturePacketSocket, rig.FeatureNetem, rig.FeatureTBF} {
		all = append(all, string(f))
	}
	assert.Equal(t, all, lacks)
}

// TestWhatIsNotInTheCache is said by fetch, which knows the packages, and by list.
func TestWhatIsNotInTheCache(t *testing.T) {
	assert.Equal(t, "6.18.15 is here", arrival(archive.Set{Name: "6.18.15"}))
	assert.Equal(t, "7.1.3 is here, without what the archive no longer has: linux-modules-7.1.3+deb13-cloud-amd64",
		arrival(archive.Set{Name: "7.1.3", Lacks: []string{"linux-modules-7.1.3+deb13-cloud-amd64"}}))
	const noModules = "its modules are not in the cache: features that need one are missing"
	for _, c := range []struct {
		kernel archive.Kernel
		lines  []string
	}{
		{archive.Kernel{Name: "7.3.4", Modules: "modules"}, nil},
		{archive.Kernel{Name: "7.1.3"}, []string{noModules}},
		{archive.Kernel{Name: "6.12.1"}, []string{noModules, "lacks pid-max by its release; its configuration is not in the cache"}},
	} {
		lines, err := lacksOf(c.kernel)
		require.NoError(t, err)
		assert.Equal(t, c.lines, lines)
	}
}
