// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/rig"
)

// TestManualIsWellFormed has the page checked by two typesetters.
func TestManualIsWellFormed(t *testing.T) {
	t.Parallel()
	text, status := run(t, "man")
	require.Equal(t, statusRight, status)
	page := filepath.Join(t.TempDir(), "forkrig.1")
	require.NoError(t, os.WriteFile(page, []byte(text), 0o666))
	for _, typesetter := range [][]string{
		{"mandoc", "-Tlint", "-W", "warning", page},
		{"man", "--warnings", "-l", "-Tutf8", "-Z", page},
	} {
		t.Run(typesetter[0], func(t *testing.T) {
			rig.NeedPrograms(t, typesetter[0])
			cmd := exec.Command(typesetter[0], typesetter[1:]...)
			var complaints strings.Builder
			cmd.Stderr = &complaints
			out, err := cmd.Output()
			if typesetter[0] == "mandoc" { // which prints them
				complaints.Write(out)
			}
			assert.NoError(t, err)
			assert.Empty(t, complaints.String())
		})
	}
}

// TestManualHasEverything reads the page as it is shown.
func TestManualHasEverything(t *testing.T) {
	t.Parallel()
	rig.NeedPrograms(t, "mandoc")
	cmd := exec.Command("mandoc", "-Tascii", "-Owidth=300")
	cmd.Stdin = strings.NewReader(manual((&program{}).command(), "2001-02-03"))
	out, err := cmd.Output()
	require.NoError(t, err)
	shown := regexp.MustCompile(`.\x08`).ReplaceAllString(string(out), "") // bold is a letter over itself
	for _, d := range defined((&program{}).command()) {
		assert.Contains(t, shown, "forkrig "+d.name+"\n")
		for _, f := range d.flags {
			assert.Contains(t, shown, strings.TrimSpace("-"+f.name+" "+f.placeholder))
		}
		for _, example := range d.examples {
			assert.Contains(t, shown, "    "+strings.ReplaceAll(example, "…", "..."))
		}
	}
	for _, check := range checks.All() {
		assert.Contains(t, shown, check.Name)
	}
	library, err := os.ReadFile("../../docs/library.md")
	require.NoError(t, err)
	for _, variable := range environment {
		assert.Contains(t, shown, variable.name)
		if strings.HasPrefix(variable.name, "FORKRIG_") {
			assert.Contains(t, string(library), "\n| `"+variable.name+"` | ", "docs/library.md")
		}
	}
	assert.Contains(t, shown, "2001-02-03")
}

// TestEscapeRoff: no text is a request or an escape, and the page shows it as it was.
func TestEscapeRoff(t *testing.T) {
	t.Parallel()
	for text, wanted := range map[string]string{
		"":               "",
		".SH NAME":       `\&.SH NAME`,
		"a\n.so /etc":    "a\n\\&.so /etc",
		"'br":            `\(aqbr`,
		`\fBx\fR`:        `\efBx\efR`,
		"-a --b":         `\-a \-\-b`,
		"COMMAND…":       `COMMAND\&...`,
		"a\r\n\n\t\n.b":  "a \n\\&.b",
		"`x` ^ ~":        `\(gax\(ga \(ha \(ti`,
		"\\\n.de x\n..":  "\\e\n\\&.de x\n\\&..",
		`a "b" \" .c`:    `a "b" \e" .c`,
		"{ip}:{port} 4|": "{ip}:{port} 4|",
	} {
		assert.Equal(t, wanted, escapeRoff(text), "%q", text)
	}
	page := &roff{}
	page.line(".TP", `a "b" c`, "\\")
	assert.Equal(t, `.TP "a \(dqb\(dq c" "\e"`+"\n", page.String())
}

// TestVersionOfARelease is what the linker writes. It changes a variable of the package.
func TestVersionOfARelease(t *testing.T) {
	old := release
	defer func() { release = old }()
	release = "1.2.3"
	assert.Regexp(t, `^forkrig 1\.2\.3 .*\(go1\.`, version())
	assert.Contains(t, manual((&program{}).command(), ""), `"forkrig 1.2.3"`)
}
