// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/kernels/probes"
)

var update = flag.Bool("update", false, "write the golden files")

func again(args ...string) string {
	return "forkrig kernels " + strings.Join(args, " ") + " -- ./server"
}

// example is a table with all that one can have.
func example() Table {
	bind := func(answers string) []probes.BindRow {
		return []probes.BindRow{{State: probes.Listening, First: "::ffff:0.0.0.0", Second: "::ffff:127.0.0.1", Answers: answers}}
	}
	old := column("5.10", "K15=0 of 3 connect", "K8=OK", "K21=missing: kTLS (CONFIG_TLS)", "K1=a|b\nc")
	old.Found, old.Release, old.Booted, old.Boot, old.Wall = "5.10.218", "5.10.0-30-cloud-amd64", "QEMU", 3140, 8400
	old.Binds, old.Card = bind("bbbb bbbb bb.. bb.."), checked("", result("reap", "IPv4", "pass"), result("reap", "IPv6", "pass")).Card
	old.Notes = []string{"module nf_tables: no such\nfile"}
	new := column("7.3.4", "K15=1 of 3 connect", "K8=OK", "K21=disconnect: EOPNOTSUPP", "K1=\x1b[2J→")
	new.Release, new.Booted, new.Boot, new.Wall = "7.3.4+deb13-cloud-amd64", "QEMU", 3000, 61_400
	new.Binds, new.Card = bind(".... .... .... ...."), checked("", result("reap", "IPv4", "fail", "zombies"), result("reap", "IPv6", "pass")).Card
	odd := column("6.1.1", "K15=1 of 3 connect", "K8=OK")
	odd.Release, odd.Booted, odd.Boot, odd.Wall = "6.1.1", "QEMU", 3000, 4000
	odd.Lost, odd.Console = "it died in probes: it printed nothing for 1m0s; asked and not answered: K17", []string{"Kernel panic", "\x1b[0mend"}
	usual := column("6.18.44", "K15=1 of 3 connect", "K8=OK")
	usual.Release, usual.Booted, usual.Wall = "6.18.44", "this machine", 2000
	usual.Tests = []TestRun{{Name: "rig.test", Passed: 3}}
	new.Tests = []TestRun{{Name: "rig.test", Passed: 2, Failed: []string{"TestReset"}, Output: append(
		[]string{"--- FAIL: TestReset (0.01s)", "    reset_test.go:9: \x1b[31mno RST", "", "FAIL"}, slices.Repeat([]string{"a line"}, 40)...)}}
	return tableOf(old, new, odd, usual)
}

// TestKernelByItsPath is called by its release in the table, and by its path in the command.
func TestKernelByItsPath(t *testing.T) {
	c := column("/boot/vmlinuz:/lib/modules/6.8.1", "K15=1")
	c.Found = "6.8.1"
	var text bytes.Buffer
	require.NoError(t, tableOf(c).WriteMarkdown(&text, again))
	assert.Contains(t, text.String(), "| probe            | 6.8.1 |")
	assert.Contains(t, text.String(), "`forkrig kernels -on /boot/vmlinuz:/lib/modules/6.8.1 -jobs probes -probes K15 -- ./server`")
}

func TestMarkdown(t *testing.T) {
	for name, table := range map[string]Table{"table.md": example(), "one.md": tableOf(column(Host, "K15=1 of 3 connect"))} {
		var got bytes.Buffer
		require.NoError(t, table.WriteMarkdown(&got, again))
		path := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(path, got.Bytes(), 0o666))
		}
		wanted, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(wanted), got.String())
		assert.NotContains(t, got.String(), "\x1b")
		width := 0 // of the lines of one table
		for line := range strings.Lines(got.String()) {
			if !strings.HasPrefix(line, "|") {
				width = 0
				continue
			}
			n := utf8.RuneCountInString(line)
			if width == 0 {
				width = n
			}
			assert.Equal(t, width, n, "aligned: %s", line)
		}
	}
}
