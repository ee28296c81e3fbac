// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"context"
	"fmt"
	"testing"

	"forkrig/rig"
	"forkrig/rig/inject"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// converse holds a conversation until the server has closed its end.
func (s serverOf) converse(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rig.Patience())
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		if c.Conn != nil {
			c.Close()
		}
		return err
	}
	return c.leave()
}

// TestSweepOfAServerThatSurvives interrupts the calls of both roles.
func TestSweepOfAServerThatSurvives(t *testing.T) {
	t.Parallel()
	s, server := startServer(t, "workers")
	results, err := inject.Sweep{Depth: 2, Converse: server.converse}.Run(t.Context(), s)
	require.NoError(t, err)
	fired := map[string]bool{}
	for _, r := range results {
		assert.True(t, r.Survived(), r.String())
		fired[fmt.Sprintf("%s %v %d", r.Call, r.In, r.Nth)] = r.Fired()
	}
	for _, made := range []string{"accept4 listener 1", "read workers 1", "read workers 2", "write workers 1", "waitid listener 1"} {
		assert.True(t, fired[made], "%s: %v", made, results)
	}
	for _, not := range []string{"accept4 listener 2", "write workers 2"} {
		assert.Contains(t, fired, not)
		assert.False(t, fired[not], "%s: %v", not, results)
	}
	for call := range fired {
		assert.NotContains(t, call, "accept4 workers", "a conversation does not take it")
	}
}

// TestSweepFindsAServerThatDies and starts it again.
func TestSweepFindsAServerThatDies(t *testing.T) {
	t.Parallel()
	s, server := startServer(t, "fragile")
	restarts := 0
	sweep := inject.Sweep{Depth: 1, Converse: server.converse, Restart: func(ctx context.Context) (*inject.Session, error) {
		restarts++
		again, err := s.Again(ctx)
		if err == nil {
			_, err = server.host.AwaitListen(ctx, again.Process, server.target.Port())
		}
		return again, err
	}}
	results, err := sweep.Run(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, 1, restarts)
	for _, r := range results {
		assert.True(t, r.Fired(), r.String())
		assert.Equal(t, r.Call != "accept4", r.Survived(), r.String())
		if r.Call == "accept4" {
			assert.NoError(t, r.Err, "the interruption came after the conversation")
			assert.True(t, r.Ended)
			assert.Equal(t, 3, r.Exit.Code)
			assert.ErrorContains(t, r.After, "connection refused")
			assert.Contains(t, r.String(), "accept4 1 in listener: the subject: exit status 3; afterwards: ")
		}
	}
	assert.GreaterOrEqual(t, len(results), 3, "accept4, read, write")
}

func TestSweepsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s, server := startServer(t, "fragile")
	for want, sweep := range map[string]inject.Sweep{
		"give it a conversation":   {},
		"a depth from 0 up":        {Depth: -1, Converse: server.converse},
		"recvmsg is not trapped":   {Calls: []inject.Call{"recvmsg"}, Converse: server.converse},
		"without faults: no reply": {Converse: func(context.Context) error { return fmt.Errorf("no reply") }},
		"cannot go on without":     {Converse: server.converse},
	} {
		_, err := sweep.Run(t.Context(), s)
		assert.ErrorContains(t, err, want)
	}
}
