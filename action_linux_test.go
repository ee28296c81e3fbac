// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"forkrig/rig"
	"forkrig/scorecard"
)

// An action is what action.yml says.
type action struct {
	Name, Description string
	Branding          struct{ Icon, Color string }
	Inputs            map[string]struct {
		Description, Default string
		Required             bool
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []actionStep
	}
}

type actionStep struct {
	ID, If, Uses, Shell, Run string
	Env, With                map[string]string
}

func readAction(t *testing.T) action {
	t.Helper()
	var a action
	decoder := yaml.NewDecoder(strings.NewReader(document(t, "action.yml")))
	decoder.KnownFields(true) // a name that is misspelt is ignored by a runner
	require.NoError(t, decoder.Decode(&a))
	return a
}

// A runner plays the steps of the action as one of GitHub does: scripts in a bash of their own, with
// files for their outputs. Of the actions that it uses only what they are given is known.
type runner struct {
	action
	temp, workspace string
	environment     []string          // beside that of the test
	inputs          map[string]string // those that are given
	cached          bool              // what the cache says
	outputs         map[string]string // "steps.ID.outputs.NAME" to its value
	log             string            // of all steps
	used            []actionStep      // the actions, with what they were given
	failed          bool
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	rig.NeedPrograms(t, "bash", "go", "awk", "curl", "find", "mktemp", "sha256sum", "sort", "tar", "xargs")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // another user looks into it
	r := &runner{action: readAction(t), temp: filepath.Join(dir, "a temp"), workspace: filepath.Join(dir, "work space")}
	for _, made := range []string{r.temp, r.workspace} {
		require.NoError(t, os.Mkdir(made, 0o755))
	}
	return r
}

// play plays all steps with these inputs.
func (r *runner) play(t *testing.T, inputs map[string]string) {
	t.Helper()
	r.inputs, r.outputs, r.log, r.used, r.failed = inputs, map[string]string{}, "", nil, false
	for name := range inputs {
		require.Contains(t, r.Inputs, name)
	}
	for _, step := range r.Runs.Steps {
		condition := step.If
		if condition == "" {
			condition = "success()"
		}
		if !r.holds(t, condition) {
			continue
		}
		if step.Uses == "" {
			r.run(t, step)
			continue
		}
		given := actionStep{Uses: step.Uses, With: map[string]string{}}
		for name, value := range step.With {
			given.With[name] = r.replace(t, value)
		}
		r.used = append(r.used, given)
		if r.cached {
			r.outputs["steps."+step.ID+".outputs.cache-hit"] = "true"
		}
	}
}

func (r *runner) run(t *testing.T, step actionStep) {
	t.Helper()
	require.Equal(t, "bash", step.Shell)
	files := filepath.Join(r.temp, "files of the runner")
	require.NoError(t, os.MkdirAll(files, 0o777))
	script, output, summary := filepath.Join(files, step.ID+".sh"), filepath.Join(files, step.ID+".output"), filepath.Join(files, "summary")
	require.NoError(t, os.WriteFile(script, []byte(step.Run), 0o666))
	require.NoError(t, os.WriteFile(output, nil, 0o666))
	source, err := os.Getwd()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", script)
	cmd.Dir = r.workspace
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "FORKRIG_S") || strings.HasPrefix(e, "GITHUB_") || strings.HasPrefix(e, "INPUT_")
	})
	cmd.Env = append(cmd.Env, "GITHUB_ACTION_PATH="+source, "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+summary,
		"GITHUB_WORKSPACE="+r.workspace, "GITHUB_REPOSITORY=owner/server", "GITHUB_SERVER_URL=http://127.0.0.1:9", "RUNNER_TEMP="+r.temp, "CI=true", "GITHUB_ACTIONS=true")
	cmd.Env = append(cmd.Env, r.environment...)
	for name, value := range step.Env {
		cmd.Env = append(cmd.Env, name+"="+r.replace(t, value))
	}
	text, err := cmd.CombinedOutput()
	r.log += string(text)
	r.failed = r.failed || err != nil
	written, err := os.ReadFile(output)
	require.NoError(t, err)
	for line := range strings.Lines(string(written)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		require.True(t, ok, "a line of the outputs: %q", line)
		require.NotContains(t, r.outputs, "steps."+step.ID+".outputs."+name)
		r.outputs["steps."+step.ID+".outputs."+name] = value
	}
}

var expression = regexp.MustCompile(`\$\{\{ *(.*?) *\}\}`)

// replace puts values in the place of expressions.
func (r *runner) replace(t *testing.T, text string) string {
	t.Helper()
	return expression.ReplaceAllStringFunc(text, func(e string) string { return r.value(t, expression.FindStringSubmatch(e)[1]) })
}

func (r *runner) value(t *testing.T, name string) string {
	t.Helper()
	if input, ok := strings.CutPrefix(name, "inputs."); ok {
		require.Contains(t, r.Inputs, input)
		if value, given := r.inputs[input]; given {
			return value
		}
		return r.Inputs[input].Default
	}
	if id, ok := strings.CutPrefix(name, "steps."); ok {
		id, _, _ = strings.Cut(id, ".outputs.")
		require.True(t, slices.ContainsFunc(r.Runs.Steps, func(s actionStep) bool { return s.ID == id }), "no step %s", id)
		return r.outputs[name]
	}
	require.Equal(t, "github.action_repository", name, "an expression that this runner does not know")
	return "owner/forkrig"
}

// holds says whether a step is to run: conditions joined by &&.
func (r *runner) holds(t *testing.T, condition string) bool {
	t.Helper()
	if !strings.Contains(condition, "()") {
		condition = "success() && " + condition
	}
	for one := range strings.SplitSeq(condition, " && ") {
		left, right, equal := strings.Cut(one, " == ")
		if !equal {
			left, right, _ = strings.Cut(one, " != ")
		}
		switch {
		case one == "always()" || one == "success()" && !r.failed:
			continue
		case one == "success()":
			return false
		case (r.value(t, left) == strings.Trim(right, "'")) != equal:
			return false
		}
	}
	return true
}

func (r *runner) output(name string) string {
	return r.outputs[strings.TrimSuffix(strings.TrimPrefix(r.Outputs[name].Value, "${{ "), " }}")]
}

// summary is what the steps wrote for the page of the job.
func (r *runner) summary() string {
	text, _ := os.ReadFile(filepath.Join(r.temp, "files of the runner", "summary"))
	return string(text)
}

// uploads are the artifacts, by name, with their directories.
func (r *runner) uploads() map[string]string {
	found := map[string]string{}
	for _, used := range r.used {
		if strings.HasPrefix(used.Uses, "actions/upload-artifact@") {
			found[used.With["name"]] = used.With["path"]
		}
	}
	return found
}

func TestActionIsSafe(t *testing.T) {
	t.Parallel()
	a := readAction(t)
	assert.Equal(t, "composite", a.Runs.Using)
	for _, step := range a.Runs.Steps {
		assert.NotContains(t, step.Run, "${{", "the step %s: an input in a script is program text", step.ID)
		assert.NotContains(t, step.Run, "eval ", "the step %s", step.ID)
		if step.Uses != "" {
			assert.Regexp(t, `^actions/[a-z-]+@[0-9a-f]{40}$`, step.Uses, "an action whose commit is not named may change")
		}
	}
	for name, input := range a.Inputs {
		assert.NotEmpty(t, input.Description, name)
		used := slices.ContainsFunc(a.Runs.Steps, func(s actionStep) bool {
			values := slices.Concat(slices.Collect(maps.Values(s.Env)), slices.Collect(maps.Values(s.With)), []string{s.If})
			return strings.Contains(strings.Join(values, "\n"), "inputs."+name)
		})
		assert.True(t, used, "no step uses the input %s", name)
		assert.Contains(t, document(t, "docs/ci.md"), "\n| `"+name+"` |", "docs/ci.md")
	}
	for name := range a.Outputs {
		assert.Contains(t, document(t, "docs/ci.md"), "`"+name+"`", "docs/ci.md")
	}
}

// TestActionIsUsedRight compares the workflows that people copy with the inputs.
func TestActionIsUsedRight(t *testing.T) {
	t.Parallel()
	a := readAction(t)
	workflows, err := filepath.Glob("deploy/github/*.yml")
	require.NoError(t, err)
	assert.Len(t, workflows, 4)
	for _, path := range append(workflows, ".github/workflows/ci.yml") {
		used := 0
		for _, step := range stepsOfWorkflow(t, path) {
			if step.Uses != here && step.Uses != "./" {
				continue
			}
			used++
			assert.NotEmpty(t, step.With["subject"], path)
			for name := range step.With {
				assert.Contains(t, a.Inputs, name, path)
			}
		}
		assert.Positive(t, used, path)
	}
}

// here is the action in workflows that people copy.
const here = "OWNER/forkrig@REF"

func stepsOfWorkflow(t *testing.T, path string) (steps []actionStep) {
	t.Helper()
	var workflow struct {
		Jobs map[string]struct{ Steps []actionStep }
	}
	require.NoError(t, yaml.Unmarshal([]byte(document(t, path)), &workflow), path)
	for _, job := range workflow.Jobs {
		steps = append(steps, job.Steps...)
	}
	return steps
}

// TestWorkflowsToCopy plays the steps of each with a server in its language, by two checks.
func TestWorkflowsToCopy(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the command and judges servers")
	}
	t.Parallel()
	r := newRunner(t)
	for _, v := range []struct{ workflow, program, file, source, verdict string }{
		{"go", "go", "main.go", "subjects/go/http/main.go", "right"},
		{"c", "cc", "server.c", "subjects/own/select.c", "wrong"},
		{"node", "node", "server.js", "subjects/own/net.js", "wrong"},
		{"python", "python3", "server.py", "subjects/own/asyncio-echo.py", "right"},
	} {
		t.Run(v.workflow, func(t *testing.T) {
			rig.NeedPrograms(t, v.program)
			r.workspace = filepath.Join(r.temp, v.workflow)
			require.NoError(t, os.Mkdir(r.workspace, 0o755))
			for name, text := range map[string]string{v.file: document(t, v.source), "go.mod": "module server\n"} {
				require.NoError(t, os.WriteFile(filepath.Join(r.workspace, name), []byte(text), 0o666))
			}
			// An earlier card, for the workflow that compares with one.
			require.NoError(t, scorecard.WriteFile(filepath.Join(r.workspace, "forkrig.json"), scorecard.Card{Complete: true,
				Checks: []scorecard.Result{{Name: "concurrent", Family: rig.IPv4.String(), Verdict: scorecard.Pass}}}))
			judged := 0
			for _, step := range stepsOfWorkflow(t, "deploy/github/"+v.workflow+".yml") {
				switch {
				case step.Run != "":
					step.ID, step.Shell = "workflow", "bash"
					r.outputs, r.failed, r.log = map[string]string{}, false, ""
					require.NotRegexp(t, expression, step.Run)
					r.run(t, step)
					require.False(t, r.failed, r.log)
				case step.Uses == here:
					judged++
					inputs := step.With
					for name, value := range inputs {
						inputs[name] = strings.ReplaceAll(value, "${{ matrix.node }}", "20")
					}
					inputs["checks"] = "concurrent,reset-survived"
					inputs["flags"] += "\n-family=4"
					if r.play(t, inputs); r.output("status") == "3" {
						t.Skip("the rig cannot run here: " + r.log)
					}
					r.cached = true
					assert.Equal(t, v.verdict, r.output("verdict"), r.log)
					assert.Len(t, r.uploads(), 1)
				}
			}
			assert.Equal(t, 1, judged)
		})
	}
}

const rightServer = "forkrig:server -listen {ip}:{port}"

func TestActionJudges(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the command and judges servers")
	}
	t.Parallel()
	r := newRunner(t)
	if r.play(t, map[string]string{"subject": rightServer, "checks": "reap", "flags": "-family=4"}); r.output("status") == "3" {
		t.Skip("the rig cannot run here: " + r.log)
	}
	require.False(t, r.failed, r.log)
	assert.Contains(t, r.used[0].With["key"], "forkrig-Linux-")
	assert.FileExists(t, filepath.Join(r.used[0].With["path"], "forkrig"))
	r.cached = true // from here on nothing is built

	baseline := filepath.Join(r.temp, "old.json")
	require.NoError(t, scorecard.WriteFile(baseline, scorecard.Card{Complete: true,
		Checks: []scorecard.Result{{Name: "reuse-time-wait", Family: rig.IPv4.String(), Verdict: scorecard.Fail}}}))
	for name, v := range map[string]struct {
		inputs  map[string]string
		verdict string
		status  string
		log     string
	}{
		"everything": {map[string]string{"subject": "forkrig:server\n  -listen {ip}:{port}\n", "service": "echo", "checks": "reap,term", "strict": "true",
			"within": "5m", "flags": "-family=4\r\n\n-on-term=drain", "report": ""}, "right", "0", "2 pass"},
		"a wrong server":    {map[string]string{"subject": rightServer + " -defect no-reuseaddr", "checks": "reuse-time-wait"}, "wrong", "1", "1 fail"},
		"no worse":          {map[string]string{"subject": rightServer + " -defect no-reuseaddr", "checks": "reuse-time-wait", "baseline": baseline}, "right", "0", "compared with"},
		"by design":         {map[string]string{"subject": rightServer + " -defect no-reuseaddr", "checks": "reuse-time-wait", "by-design": "reuse-time-wait"}, "right", "0", "by-design"},
		"no such program":   {map[string]string{"subject": "no-such-server {port}"}, "unable", "3", "no-such-server"},
		"no such check":     {map[string]string{"subject": rightServer, "checks": "raep"}, "usage", "2", `no check called "raep"`},
		"no such flag":      {map[string]string{"subject": rightServer, "flags": "-wihtin=1m"}, "usage", "2", "-wihtin"},
		"no subject":        {map[string]string{"subject": " \n"}, "usage", "2", `::error title=forkrig::the input "subject" is empty`},
		"neither":           {map[string]string{"subject": rightServer, "strict": "yes"}, "usage", "2", "neither true nor false"},
		"a time":            {map[string]string{"subject": rightServer, "within": "soon"}, "usage", "2", "-within"},
		"no baseline":       {map[string]string{"subject": rightServer, "baseline": "missing.json"}, "usage", "2", "missing.json"},
		"a quote is open":   {map[string]string{"subject": rightServer + " '"}, "usage", "2", "not closed"},
		"a flag as a value": {map[string]string{"subject": rightServer, "by-design": "-strict"}, "usage", "2", `no check called "-strict"`},
		"words and no flag": {map[string]string{"subject": rightServer, "flags": "$(touch ran)"}, "usage", "2", "given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			inputs := map[string]string{"checks": "reap", "flags": "-family=4", "report": name}
			maps.Copy(inputs, v.inputs)
			before := r.summary()
			r.play(t, inputs)
			assert.Equal(t, v.verdict, r.output("verdict"), r.log)
			assert.Equal(t, v.status, r.output("status"))
			assert.Equal(t, v.status != "0", r.failed)
			assert.Contains(t, r.log, v.log)
			if v.verdict == "right" || v.verdict == "wrong" {
				card, err := scorecard.ReadFile(r.output("card"))
				require.NoError(t, err)
				assert.True(t, card.Complete)
				for _, name := range []string{"card.md", "junit.xml", "report.html"} {
					assert.FileExists(t, filepath.Join(filepath.Dir(r.output("card")), name))
				}
				if inputs["report"] == "" {
					assert.Empty(t, r.uploads())
				} else {
					assert.Equal(t, map[string]string{name: filepath.Dir(r.output("card"))}, r.uploads())
				}
				assert.Greater(t, len(r.summary()), len(before), "the summary of the job grows")
			}
		})
	}

	t.Run("sudo", func(t *testing.T) { // the job's user may become root, and the server stays with that user
		if os.Geteuid() != 0 {
			rig.SkipIfMissing(t, &rig.MissingError{Feature: rig.FeatureUsers, Remedy: "run the test as root"})
		}
		rig.NeedPrograms(t, "id", "env")
		bin := t.TempDir()
		for name, script := range map[string]string{
			"id":   `case $1 in -u) echo 1000 ;; -un) echo nobody ;; esac`,
			"sudo": `[ "$1 $2" = "-n -E" ] && shift 2 && exec "$@"`,
		} {
			require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		}
		r.environment = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
		defer func() { r.environment = nil }()
		r.play(t, map[string]string{"subject": rightServer, "checks": "reap", "flags": "-family=4"})
		assert.False(t, r.failed, r.log)
		assert.Contains(t, r.log, "as user nobody")
	})
}

// hostileTexts are what an input must not be able to do: each makes the file "ran" where it is run.
var hostileTexts = []string{
	"$(touch ran)", "`touch ran`", "; touch ran #", "' ; touch ran ; '", `" ; touch ran ; "`, "\"'$(touch ran)", "a\ntouch ran\n", "$'\\n'touch ran",
	"| touch ran", "&& touch ran", "${IFS}$(touch${IFS}ran)", "a[$(touch ran)]", "verdict=right\nstatus=0", "<<EOF\n$(touch ran)\nEOF", "\x01\x7f$(touch ran)", "-x $(touch ran)", "*",
}

func TestActionWithHostileInputs(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	r.cached = true
	require.NoError(t, os.Mkdir(filepath.Join(r.temp, "forkrig"), 0o755))
	// This forkrig tells its arguments, so that what arrives is compared with what was given.
	require.NoError(t, os.WriteFile(filepath.Join(r.temp, "forkrig", "forkrig"),
		[]byte("#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 2\n"), 0o755))
	flags := map[string]string{"subject": "subject", "service": "service", "checks": "checks", "baseline": "baseline", "by-design": "by-design",
		"within": "within", "subject-user": "subject-user"}
	for name := range r.Inputs {
		for _, hostile := range hostileTexts {
			inputs := map[string]string{"subject": rightServer}
			inputs[name] = hostile
			r.play(t, inputs)
			if flag, ok := flags[name]; ok {
				assert.Contains(t, r.log, "<-"+flag+"="+hostile+">", "%s: %q", name, hostile)
			}
			switch name {
			case "flags":
				for line := range strings.SplitSeq(strings.TrimRight(hostile, "\n"), "\n") {
					assert.Contains(t, r.log, "<"+line+">")
				}
			case "version", "strict":
				assert.True(t, r.failed, "%s: %q", name, hostile)
				assert.NotContains(t, r.log, "<judge>")
			}
			if name != "version" {
				assert.Equal(t, "usage", r.output("verdict"), "%s: %q", name, hostile)
			}
		}
	}
	r.play(t, map[string]string{"subject": rightServer, "subject-user": "root"})
	assert.NotContains(t, r.log, "subject-user", "a server that keeps the privileges of root")

	var made []string
	for _, dir := range []string{r.workspace, r.temp} {
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		made = append(made, found...)
	}
	for _, path := range made {
		assert.NotEqual(t, "ran", filepath.Base(path), "an input was run")
	}
	assert.NoFileExists(t, "ran")
}

// TestActionSaysWhatIsMissing, in words that tell what to do.
func TestActionSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "uname"), []byte("#!/bin/sh\n[ $1 = -s ] && echo $SYSTEM || echo $MACHINE\n"), 0o755))
	for _, v := range []struct {
		name        string
		environment []string
		inputs      map[string]string
		says        string
	}{
		{"Linux", []string{"SYSTEM=Darwin"}, nil, "::error title=forkrig::forkrig needs Linux"},
		{"an architecture", []string{"SYSTEM=Linux", "MACHINE=riscv64"}, map[string]string{"version": "1.2.3"}, "::error title=forkrig::there is no release for this architecture"},
		{"Go", []string{"PATH=/usr/bin:/bin"}, nil, "::error title=forkrig::there is no Go to build forkrig with"},
	} {
		t.Run(v.name, func(t *testing.T) {
			r := newRunner(t)
			r.environment = append([]string{"PATH=" + bin + ":" + os.Getenv("PATH")}, v.environment...)
			if v.name == "Go" {
				if _, err := os.Stat("/usr/bin/go"); err == nil {
					t.Skip("Go is where all programs are")
				}
			}
			inputs := map[string]string{"subject": rightServer}
			maps.Copy(inputs, v.inputs)
			r.play(t, inputs)
			assert.True(t, r.failed)
			assert.Contains(t, r.log, v.says)
			assert.Empty(t, r.output("verdict"))
			assert.Empty(t, r.uploads())
		})
	}
}

// TestActionFetchesARelease has a server with a release in the place of GitHub.
func TestActionFetchesARelease(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	dir := t.TempDir()
	archive := fmt.Sprintf("forkrig_1.2.3_linux_%s.tar.gz", runtime.GOARCH)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "forkrig"), []byte("#!/bin/sh\necho this is 1.2.3 \"$1\"\n"), 0o755))
	cmd := exec.CommandContext(t.Context(), "tar", "-C", dir, "-czf", filepath.Join(dir, archive), "forkrig")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	packed, err := os.ReadFile(filepath.Join(dir, archive))
	require.NoError(t, err)
	sums := fmt.Sprintf("%064d  other.tar.gz\n%x  %s\n", 0, sha256.Sum256(packed), archive)
	var served []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		switch request.URL.Path {
		case "/owner/forkrig/releases/download/v1.2.3/" + archive:
			_, _ = w.Write(served)
		case "/owner/forkrig/releases/download/v1.2.3/checksums.txt":
			_, _ = w.Write([]byte(sums))
		default:
			http.NotFound(w, request)
		}
	}))
	defer server.Close()
	r.environment = []string{"GITHUB_SERVER_URL=" + server.URL, "no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1"}
	for _, v := range []struct {
		name, version string
		served        []byte
		fails         bool
		log           string
	}{
		{"the release", "1.2.3", packed, false, "this is 1.2.3 version"},
		{"with its v", "v1.2.3", packed, false, "this is 1.2.3 judge"},
		{"a changed archive", "1.2.3", append(bytes.Clone(packed), 0), true, "computed checksum did NOT match"},
		{"no such release", "1.2.4", packed, true, "404"},
		{"no version", "latest", packed, true, `the input "version" is not a version`},
		{"a path", "../../../evil", packed, true, `the input "version" is not a version`},
	} {
		t.Run(v.name, func(t *testing.T) {
			served = v.served
			r.play(t, map[string]string{"subject": rightServer, "version": v.version})
			assert.Equal(t, v.fails, r.failed, r.log)
			assert.Contains(t, r.log, v.log)
			assert.Equal(t, v.fails, r.output("verdict") == "", "what was not fetched does not judge")
			require.NoError(t, os.RemoveAll(filepath.Join(r.temp, "forkrig")))
		})
	}
}
