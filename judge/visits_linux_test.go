// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"forkrig/rig"
	"forkrig/scorecard"
)

// TestConnectionEnded: a check that finds a silent connection ended is skipped where the subject ends
// such ones by itself.
func TestConnectionEnded(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]scorecard.Verdict{"impatient": scorecard.Skip, "echo": scorecard.Broken} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			check := Check{Name: "ended", Meaning: "m", Run: func(c *Case) {
				c.Start("")
				k := c.MustDial(0)
				c.MustServe(k.Begin())
				if want == scorecard.Skip {
					_, err := c.Until("the end of the connection", func() (bool, string, error) {
						inode, err := k.ServerInode()
						return inode == 0, "it is open", err
					})
					c.Must(err)
				}
				c.ConnectionEnded(k, "it is gone")
			}}
			subject := Subject{Command: rig.Program(program, "{ip}:{port}").Args}
			result := check.Judge(t, subject, rig.IPv4)
			assert.Equal(t, want, result.Verdict, "%+v", result)
			if want == scorecard.Broken {
				assert.Equal(t, "it is gone", result.Reason)
			}
		})
	}
}
