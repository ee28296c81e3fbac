// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestTestBinaries: what a test binary prints is its tests, and its output is kept where one failed.
func TestTestBinaries(t *testing.T) {
	job := Job{Name: "rig.test", Test: "rig.test"}
	assert.Equal(t, []string{"rig.test"}, job.argv())
	hear := func(status int, lines ...string) (Column, string) {
		var c Column
		h := job.hearer(&c)
		_, _ = h.Write([]byte(strings.Join(lines, "\n"))) // it has no error
		return c, c.jobEnds(h, time.Second, status, "")
	}
	passed, why := hear(0, "=== RUN   TestA", "--- PASS: TestA (0.00s)", "    --- PASS: TestA/b (0.00s)", "--- SKIP: TestC (0.1s)", "PASS")
	assert.Empty(t, why)
	assert.Equal(t, []TestRun{{Name: "rig.test", Passed: 2, Skipped: []string{"TestC"}, Millis: 1000}}, passed.Tests)
	assert.True(t, passed.Right())

	failed, why := hear(1, "--- FAIL: TestA (0.00s)", "    file.go:1: it is wrong", "FAIL")
	assert.Empty(t, why, "a test that fails is no wrong end")
	assert.Equal(t, []string{"TestA"}, failed.Tests[0].Failed)
	assert.Contains(t, failed.Tests[0].Output, "file.go:1: it is wrong")
	assert.False(t, failed.Right())

	long, _ := hear(1, "=== RUN   TestA", "=== PAUSE TestA", "=== RUN   TestB", "=== PAUSE TestB", "=== CONT  TestA", "a.go:1: of A", "=== NAME  TestB",
		"b.go:1: of B", "--- PASS: TestB (0.00s)", "=== CONT  TestA", "--- FAIL: TestA (0.00s)", "=== RUN   TestC", strings.Repeat("c.go:1: of C\n", 1000), "FAIL")
	assert.Equal(t, []string{"--- FAIL: TestA (0.00s)", "a.go:1: of A", "c.go:1: of C"}, slices.Compact(long.Tests[0].Output)[:3],
		"what a test has printed that failed is kept, whatever comes after it")

	for status, words := range map[int]string{1: "exit status 1", 2: "exit status 2"} {
		ended, why := hear(status, "panic: it is over")
		assert.Equal(t, words, why)
		assert.Equal(t, words, ended.Tests[0].Wrong)
		assert.False(t, ended.Right())
	}

	table := NewTable("", []Column{passed, failed})
	table.Kernels[0].Kernel, table.Kernels[1].Kernel = "6.1", "6.12"
	rows, whole, packages := table.Tests()
	assert.Equal(t, []int{0, 1}, []int{whole, packages})
	var cells []string
	for _, row := range rows {
		cells = append(cells, row.Name+": "+strings.Join(row.Cells, ", "))
	}
	assert.Equal(t, []string{"rig.test TestC: skip, pass", "rig.test TestA: pass, fail"}, cells)

	cut := Column{Kernel: "6.18", Tests: []TestRun{{Name: "rig.test", Skipped: []string{"TestD"}, Wrong: "it had not ended when the kernel did"}}}
	none := Column{Kernel: "7.3", Tests: []TestRun{{Name: "other.test", Passed: 1}}}
	rows, whole, packages = NewTable("", []Column{table.Kernels[1], cut, none}).Tests()
	assert.Equal(t, []int{0, 2}, []int{whole, packages}, "what is not known of one kernel does not pass on all")
	cells = nil
	for _, row := range rows {
		cells = append(cells, row.Name+": "+strings.Join(row.Cells, ", "))
	}
	assert.Equal(t, []string{"rig.test: fail, it had not ended when the kernel did, –", "rig.test TestA: fail, –, –",
		"rig.test TestD: pass, skip, –", "other.test: –, –, pass"}, cells)
}
