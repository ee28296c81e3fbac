// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"forkrig/report"
)

func TestMarkdownTables(t *testing.T) {
	got := markdownTables("# Title\n\ntext\n\n## First\n| a | b |\n|---|:--|\n| `1` | x \\| y |\n|  | **2** |\n\nmore\n| alone |\n")
	assert.Equal(t, []report.Table{
		{Title: "First", Rows: [][]string{{"a", "b"}, {"1", "x | y"}, {"", "2"}}},
		{Title: "First", Rows: [][]string{{"alone"}}},
	}, got)
	assert.Empty(t, markdownTables("#no heading\n|\n||x\n"))
}
