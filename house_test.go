// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/dialogue"
	"forkrig/kernels"
	"forkrig/kernels/probes"
	"forkrig/scorecard"
)

// mayImport says which packages of this module a package may import, by directory. A
// package may import itself and what lies below it. The longest entry that fits counts.
var mayImport = map[string][]string{
	".": {"internal", "client", "server", "kernels/boot", "rig"},
	"internal/cli": {"internal/doctor", "dialogue", "judge", "checks", "search", "scorecard", "rig",
		"kernels", "kernels/archive", "kernels/boot", "kernels/probes", "recorder", "report"},
	"internal/doctor":     {"kernels/probes", "rig"},
	"scenarios":           {},
	"proofs":              {},
	"search":              {"dialogue", "judge", "scorecard", "rig"},
	"checks":              {"dialogue", "judge", "scorecard", "rig"},
	"judge":               {"dialogue", "kernels/probes", "scorecard", "rig"},
	"scorecard":           {},
	"recorder":            {"rig"},
	"report":              {"recorder", "rig", "scorecard"},
	"dialogue":            {},
	"rig":                 {},
	"rig/observe":         {"rig/internal"},
	"rig/fault":           {"rig"},
	"rig/inject":          {"rig"},
	"rig/internal":        {"rig/observe"},
	"server":              {},
	"client":              {},
	"internal/testserver": {},
	"internal/kerneltest": {"kernels/probes", "rig"},
	"internal/schematest": {},
	"kernels":             {"kernels/archive", "kernels/boot", "kernels/probes", "scorecard"},
	"kernels/probes":      {},
	"kernels/archive":     {"kernels/internal"},
	"kernels/boot":        {"kernels/internal"},
	"kernels/internal":    {},
}

// TestPackagesImportOnlyWhatTheyMay reads the imports of every source file. Tests that
// are outside of their package may import anything, and so may the test binaries of
// scenarios and proofs.
func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	read := 0
	eachSource(t, func(path, dir string, imports []string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		read++
		room := roomOf(dir)
		require.NotEmpty(t, room, "%s is in no room of mayImport", path)
		for _, name := range imports {
			other, ours := strings.CutPrefix(name, "forkrig/")
			if !ours || within(other, room) || slices.ContainsFunc(mayImport[room], func(may string) bool { return within(other, may) }) {
				continue
			}
			assert.Fail(t, "an import that is not allowed", "%s imports %s: %s may import %v only", path, name, room, mayImport[room])
		}
	})
	assert.Greater(t, read, 100, "source files read")
}

// TestLibrariesOfTestsStayInTests reads in the table of dependencies which libraries are for tests
// only. The rig starts its binary thousands of times, and each start would pay for their variables.
func TestLibrariesOfTestsStayInTests(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (.+?) \| .*\(tests only\b.*\|$`).FindAllStringSubmatch(document(t, "CONTRIBUTING.md"), -1)
	var libraries []string
	for _, row := range rows {
		libraries = append(libraries, strings.Split(row[1], ", ")...)
	}
	require.Contains(t, libraries, "stretchr/testify")
	const forTests = "internal/schematest" // which tests alone import: no entry of mayImport has it
	eachSource(t, func(path, dir string, imports []string) {
		if strings.HasSuffix(path, "_test.go") || dir == forTests {
			return
		}
		for _, name := range imports {
			assert.NotEqual(t, "forkrig/"+forTests, name, path)
			for _, library := range libraries {
				assert.NotContains(t, name+"/", library+"/", "%s: the library is for tests only", path)
			}
		}
	})
}

// TestDangerousCallsStayInTheirFiles keeps namespaces, mounts, raw system calls and unsafe
// in files that build on Linux alone.
func TestDangerousCallsStayInTheirFiles(t *testing.T) {
	eachSource(t, func(path, dir string, imports []string) {
		if !within(dir, "rig") || strings.Contains(path, "_linux.") || strings.Contains(path, "_linux_") {
			return
		}
		for _, name := range []string{"unsafe", "golang.org/x/sys/unix", "github.com/vishvananda/netns"} {
			assert.NotContains(t, imports, name, "%s: move it to a _linux.go file", path)
		}
	})
}

// TestLicences sees a licence identifier at the begin of every source file (spdx.dev).
func TestLicences(t *testing.T) {
	eachSource(t, func(path, _ string, _ []string) {
		if path == "proofs/story_example_test.go" {
			return // it is what the search prints
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(text), "// SPDX-License-Identifier: Apache-2.0\n"), path)
	})
}

// TestDocsShowTheExample compares the example of docs/library.md with the one that compiles
// and runs.
func TestDocsShowTheExample(t *testing.T) {
	source := document(t, "rig/example_linux_test.go")
	_, example, found := strings.Cut(source, "func TestExample")
	require.True(t, found)
	assert.Contains(t, document(t, "docs/library.md"), "func TestExample"+example)
}

// TestDocsNameEveryStimulus compares the table in docs/checks.md with the stimuli.
func TestDocsNameEveryStimulus(t *testing.T) {
	for _, s := range scorecard.Stimuli() {
		assert.Contains(t, document(t, "docs/checks.md"), fmt.Sprintf("\n| `%s` | %v |\n", string(s), s))
	}
}

// TestDocsNameEveryCheck compares docs/checks.md with the checks.
func TestDocsNameEveryCheck(t *testing.T) {
	text := document(t, "docs/checks.md")
	for _, check := range checks.All() {
		assert.Contains(t, text, "\n## "+check.Name+"\n"+check.Meaning+"\n", "docs/checks.md")
		section, _, _ := strings.Cut(text[strings.Index(text, "\n## "+check.Name+"\n")+1:], "\n## ")
		for _, ability := range check.Needs {
			assert.Contains(t, section, "*"+string(ability)+"*", "docs/checks.md says which abilities %s needs", check.Name)
		}
		defects := "`" + strings.Join(check.Defects, "`, `") + "`"
		assert.Contains(t, text, defects, "docs/checks.md says which defects prove %s", check.Name)
	}
	const general = 1 // the section on what holds for every check
	assert.Equal(t, general+len(checks.All()), strings.Count(text, "\n## "), "sections of docs/checks.md")
}

// TestDocsNameEveryPreset compares docs/dialogues.md with the presets, their abilities and
// dialogues, with the probes, and with the words of the grammar.
func TestDocsNameEveryPreset(t *testing.T) {
	text := document(t, "docs/dialogues.md")
	row := func(cells ...string) string { return "\n| " + strings.Join(cells, " | ") + " |\n" }
	for _, s := range dialogue.Presets() {
		var abilities []string
		for _, ability := range s.Abilities {
			abilities = append(abilities, string(ability))
		}
		assert.Contains(t, text, row("`"+s.Name+"`", s.Meaning, strings.Join(abilities, ", ")), "docs/dialogues.md")
		if said := s.Dialogue.String(); said != "" {
			assert.Contains(t, text, "\n# "+s.Name+"\n"+said+"\n", "docs/dialogues.md")
		}
	}
	assert.Equal(t, len(dialogue.Presets()), strings.Count(text, "\n| `")-6, "rows of presets, beside those of 6 items")
	for _, ability := range dialogue.Abilities {
		assert.Contains(t, text, "\n| "+string(ability)+" | ", "docs/dialogues.md")
	}
	probes := dialogue.Probes
	last := len(probes) - 1
	assert.Contains(t, text, "`"+strings.Join(probes[:last], "`, `")+"` and `"+probes[last]+"` are tried, in this order", "docs/dialogues.md")
	_, examples, _ := strings.Cut(text, "\n```\n")
	examples, _, _ = strings.Cut(examples, "\n```\n")
	for line := range strings.Lines(examples) {
		_, err := dialogue.Parse(line)
		assert.NoError(t, err, "docs/dialogues.md: %s", line)
	}
}

// TestDocsNameWhatKernelsAnswer sees that the names and sources in the tables are those of the probes.
func TestDocsNameWhatKernelsAnswer(t *testing.T) {
	text := document(t, "docs/kernels.md")
	for _, name := range kernels.Defaults {
		assert.Contains(t, text, name, "docs/kernels.md names the default set")
	}
	for _, p := range probes.All() {
		if strings.Contains(text, "\n| "+p.ID+" ") {
			assert.Contains(t, text, "\n| "+p.ID+" "+p.Name+" ", "docs/kernels.md")
			assert.Contains(t, text, "\n- "+p.ID+": "+p.Source+"\n", "docs/kernels.md")
		}
	}
}

// TestDocsNameEveryFormat compares docs/formats.md with the types of events and the schemas.
func TestDocsNameEveryFormat(t *testing.T) {
	text := document(t, "docs/formats.md")
	for _, e := range scorecard.EventTypes {
		assert.Contains(t, text, "\n| `"+string(e)+"` | ", "docs/formats.md")
	}
	schemas, err := filepath.Glob("docs/schemas/*.schema.json")
	require.NoError(t, err)
	assert.NotEmpty(t, schemas)
	for _, path := range schemas {
		name := filepath.Base(path)
		assert.Contains(t, text, "["+name+"](schemas/"+name+")", "docs/formats.md")
	}
}

// TestDocsSayWhatIsExpectedOfSubjects compares docs/subjects.md with the lists in subjects.
func TestDocsSayWhatIsExpectedOfSubjects(t *testing.T) {
	text, list := document(t, "docs/subjects.md"), document(t, "subjects/subjects.txt")
	count := 0
	for line := range strings.Lines(document(t, "subjects/expected.txt")) {
		name, found, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			assert.True(t, strings.HasPrefix(line, "#"), "subjects/expected.txt: no tab in %q", line)
			continue
		}
		count++
		assert.Contains(t, list, "\n"+name+"\t", "subjects/subjects.txt")
		assert.Regexp(t, `\n\| `+regexp.QuoteMeta(name)+` [^|]+\| [^|]+\| `+regexp.QuoteMeta(strings.ReplaceAll(found, " ", ", "))+` \| `, text, "docs/subjects.md")
	}
	assert.GreaterOrEqual(t, count, 40, "subjects")
	for line := range strings.Lines(list) {
		name, _, ok := strings.Cut(line, "\t")
		assert.True(t, !ok || strings.HasPrefix(line, "#") || strings.Contains(text, "\n| "+name+" "), "docs/subjects.md lacks %s", name)
	}
}

// TestReadmeIsShort keeps the README a page: what is more stands in docs.
func TestReadmeIsShort(t *testing.T) {
	assert.LessOrEqual(t, strings.Count(document(t, "README.md"), "\n"), 160)
}

// TestGuidesAreShort keeps what a person reads first at a few screens.
func TestGuidesAreShort(t *testing.T) {
	for _, guide := range []string{"judge", "ci", "card", "read-a-picture", "search", "scenarios", "false-alarm"} {
		assert.LessOrEqual(t, strings.Count(document(t, "docs/"+guide+".md"), "\n"), 120, guide)
		assert.Contains(t, document(t, "README.md"), "(docs/"+guide+".md)", "the README leads to each guide")
	}
}

// TestDocsLinkToWhatIsThere follows the links between the pages, to headings as well.
func TestDocsLinkToWhatIsThere(t *testing.T) {
	link, inText := regexp.MustCompile(`\]\(([^)\s]+)\)`), regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	notInAnchors := regexp.MustCompile(`[^a-z0-9 _-]`)
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	decisions, err := filepath.Glob("docs/decisions/*.md")
	require.NoError(t, err)
	for _, page := range slices.Concat(pages, decisions, []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}) {
		for _, found := range link.FindAllStringSubmatch(inText.ReplaceAllString(document(t, page), ""), -1) {
			target, heading, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := filepath.Join(filepath.Dir(page), target)
			if target == "" {
				path = page
			}
			if _, err := os.Stat(path); !assert.NoError(t, err, "%s links to %s", page, found[1]) || heading == "" {
				continue
			}
			var headings []string
			for line := range strings.Lines(document(t, path)) {
				if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
					title = notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
					headings = append(headings, strings.ReplaceAll(title, " ", "-"))
				}
			}
			assert.Contains(t, headings, heading, "%s links to %s", page, found[1])
		}
	}
}

// document reads a file of the repository.
func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !sourcesAreHere() {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	require.NoError(t, err)
	return string(text)
}

func sourcesAreHere() bool {
	_, err := os.Stat("go.mod")
	return err == nil
}

// eachSource calls f for every Go file of the module, with its directory and its imports.
func eachSource(t *testing.T, f func(path, dir string, imports []string)) {
	t.Helper()
	if !sourcesAreHere() {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != ".":
			return fs.SkipDir
		case path == "subjects": // they are modules of their own
			return fs.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, name)
		}
		f(path, filepath.ToSlash(filepath.Dir(path)), imports)
		return nil
	}))
}

// roomOf returns the longest entry of mayImport that the directory is in, or "".
func roomOf(dir string) string {
	room := ""
	for candidate := range mayImport {
		if within(dir, candidate) && len(candidate) > len(room) {
			room = candidate
		}
	}
	return room
}

// within says whether a directory is another one or below it. "." has no directories below.
func within(dir, other string) bool { return dir == other || strings.HasPrefix(dir, other+"/") }
