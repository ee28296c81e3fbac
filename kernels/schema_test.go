// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/schematest"
	"forkrig/kernels/probes"
	"forkrig/scorecard"
)

func tableText(t *testing.T, table Table) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, table.WriteJSON(&b))
	return b.String()
}

func TestTablesFitTheirSchema(t *testing.T) {
	schema := schematest.Compile(t, "kernels.schema.json")
	table := example()
	table.Made, table.Subject = "2026-11-29", "./server"
	table.Kernels[0].Absent = []string{"nf_tables"}
	table.Kernels[0].Answers = append(table.Kernels[0].Answers, answer("K2", "broken: no answer"))
	table.Kernels[1].Tests = []TestRun{{Name: "rig.test", Passed: 1, Failed: []string{"TestA"}, Skipped: []string{"TestB"}, Wrong: "w", Millis: 2, Output: []string{"o"}}}
	text := tableText(t, table)
	assert.NoError(t, schema.Check(text))
	unwritten, err := schema.Unwritten(text)
	require.NoError(t, err)
	assert.Empty(t, unwritten)
	assert.NoError(t, schema.Check(tableText(t, NewTable("", []Column{{Kernel: Host}}))))
	for _, v := range []struct{ old, new string }{
		{`"schema": 1`, `"schema": 2`}, {`"2026-11-29"`, `"29.11.2026"`}, {`"boot_ms": 3140`, `"boot_ms": "3140"`}, {"bbbb bbbb", "bbbb"},
		{`"kernel": "5.10"`, `"kernel": null`}, {`"verdict": "fail"`, `"verdict": "odd"`}, {`"boot_ms": 3140`, `"boot_ms": 1, "later": 1`},
	} {
		wrong := strings.Replace(text, v.old, v.new, 1)
		require.NotEqual(t, text, wrong, v.old)
		assert.Error(t, schema.Check(wrong), v.new)
	}
}

func TestLinesFitTheirSchema(t *testing.T) {
	schema := schematest.Compile(t, "kernel-line.schema.json")
	one := answer("K1", "OK")
	var texts []string
	for _, l := range []Line{{Asked: "K1"}, {Answer: &one},
		{Bind: &probes.BindRow{State: probes.Listening, First: "a", Second: "b", Answers: "bbbb bbbb bb.. bb.."}},
		{Result: &scorecard.Result{Name: "reap", Verdict: scorecard.Pass}}, {Card: &scorecard.Card{}}} {
		var b bytes.Buffer
		require.NoError(t, l.Say(&b))
		assert.NoError(t, schema.Check(b.String()), b.String())
		texts = append(texts, b.String())
	}
	unwritten, err := schema.Unwritten(texts...)
	require.NoError(t, err)
	assert.Empty(t, unwritten)
	for _, wrong := range []string{`{}`, `{"asked":"K1","later":1}`, `{"asked":1}`, `{"bind":"bound"}`, `{"answer":{}}`, `[]`} {
		assert.Error(t, schema.Check(wrong), wrong)
	}
}
