// SPDX-License-Identifier: Apache-2.0

package search

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/schematest"
	"forkrig/rig"
)

// TestStoriesFitTheirSchema, which has all verbs.
func TestStoriesFitTheirSchema(t *testing.T) {
	schema := schematest.Compile(t, "story.schema.json")
	written := func(story Story) string {
		var b bytes.Buffer
		require.NoError(t, story.WriteJSON(&b))
		return b.String()
	}
	full := exampleStory()
	full.Subject.Dir, full.Subject.Port, full.Subject.User = "/srv", 80, "www-data"
	text := written(full)
	assert.NoError(t, schema.Check(text))
	unwritten, err := schema.Unwritten(text)
	require.NoError(t, err)
	assert.Empty(t, unwritten)
	for _, story := range []Story{exampleStory(), {Schedule: Schedule{Family: rig.IPv4}}} {
		story.Schedule.Actions = nil
		for verb := Connect; verb < verbEnd; verb++ {
			story.Schedule.Actions = append(story.Schedule.Actions, Action{Verb: verb})
		}
		story.Subject.Command = []string{"server"}
		assert.NoError(t, schema.Check(written(story)))
	}
	for _, v := range []struct{ old, new string }{
		{`"seed": 12`, `"seed": 9007199254740992`}, {`"seed": 12`, `"sead": 12`}, {`"drain"`, `"dance"`}, {`"send"`, `"bend"`}, {`"family": 6`, `"family": 5`},
	} {
		wrong := strings.Replace(text, v.old, v.new, 1)
		require.NotEqual(t, text, wrong, v.old)
		assert.Error(t, schema.Check(wrong), v.new)
	}
}
