// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/scorecard"
)

// frail is an echo server that is wrong in one of these ways; the third argument is a file.
func frail(args []string) int {
	how, address, file := args[1], args[2], args[3]
	switch how {
	case "locks": // as one with a data directory does
		lock, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o666)
		if err == nil {
			err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "lock:", err)
			return 1
		}
		defer lock.Close()
	case "spins":
		for range 4 { // so that it gets its share of a busy machine
			go func() {
				for n := 0; ; {
					n++
				}
			}()
		}
	case "leaves a file":
		if _, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o666); err != nil {
			fmt.Fprintln(os.Stderr, "another one runs")
			return 4
		}
	}
	return serve(address, func(conn net.Conn) {
		fmt.Fprintln(os.Stderr, "a client from", conn.RemoteAddr())
		_, err := io.Copy(conn, answering(how, conn))
		switch {
		case how == "ends after a client":
			fmt.Fprintln(os.Stderr, "no more clients")
			os.Exit(3)
		case how == "ends on a reset" && errors.Is(err, syscall.ECONNRESET):
			fmt.Fprintln(os.Stderr, "Error: read ECONNRESET")
			os.Exit(1)
		}
	})
}

// answering is what is echoed.
func answering(how string, conn net.Conn) io.Reader {
	switch how {
	case "garbles":
		return &garbler{conn}
	case "is mute":
		return mute{conn}
	}
	return conn
}

type garbler struct{ io.Reader }

func (g *garbler) Read(b []byte) (int, error) {
	n, err := g.Reader.Read(b)
	if n > 0 {
		b[0] = '?'
	}
	return n, err
}

// mute reads on without a byte to answer with.
type mute struct{ io.Reader }

func (m mute) Read(b []byte) (int, error) {
	_, err := io.Copy(io.Discard, m.Reader)
	return 0, cmp.Or(err, io.EOF)
}

// TestBusyWithoutClients: a subject that is never at rest because it spins gets a cause.
func TestBusyWithoutClients(t *testing.T) {
	t.Parallel()
	results, causes := judged(t, "spins", []rig.Family{rig.IPv4}, visits)
	require.Len(t, causes, 1)
	assert.Equal(t, "the server is in a busy loop while no client is connected", causes[0].Text)
	assert.Equal(t, scorecard.Skip, results[0].Verdict)
}

// TestOtherFamily: a subject that listens in the other family alone is not served in this one.
func TestOtherFamily(t *testing.T) {
	t.Parallel()
	subject := Subject{Command: rig.Program("frail", "takes IPv4 only", "0.0.0.0:{port}", "").Args, Service: dialogue.MustResolve("echo")}
	results, causes, err := Trial{Subject: subject, Checks: []Check{visits}}.Run(t)
	require.NoError(t, err)
	assert.Empty(t, causes)
	assert.Equal(t, scorecard.Pass, results[0].Verdict)
	assert.Equal(t, scorecard.Skip, results[1].Verdict)
	assert.Contains(t, results[1].Reason, "listens on 0.0.0.0:9999 only, which clients cannot reach over IPv6")
}

// judged is what became of a frail subject that is judged by these checks.
func judged(t *testing.T, how string, families []rig.Family, checks ...Check) ([]scorecard.Result, []scorecard.Cause) {
	t.Helper()
	subject := Subject{Command: rig.Program("frail", how, "{ip}:{port}", filepath.Join(t.TempDir(), "file")).Args, Service: dialogue.MustResolve("echo")}
	results, causes, err := Trial{Subject: subject, Families: families, Checks: checks}.Run(t)
	require.NoError(t, err)
	return results, causes
}

// about is visits as a check of a stimulus.
func about(s scorecard.Stimulus) Check {
	check := visits
	check.Name, check.Judges = "about-"+string(s), []scorecard.Stimulus{s}
	return check
}

// TestPreliminaryTrial: what fails when nothing is done to the subject is said once, and only
// the checks that are about it judge.
func TestPreliminaryTrial(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]struct {
		text     string
		words    string
		stimulus scorecard.Stimulus
	}{
		"ends after a client": {"the server ends with status 3 when a client leaves", "no more clients", scorecard.ClientLeaves},
		"garbles": {`a client is not served: it does not answer as the service echo does: round 1, step 2: from byte 0 of the reply "?essage 1 of a client\n" ` +
			`came instead of "message 1 of a client\n"; byte 0 differs: use -service none for another service`, "", scorecard.Conversation},
		"leaves a file": {"the server ends with status 4 when it is started again", "another one runs", scorecard.Restart},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			results, causes := judged(t, how, []rig.Family{rig.IPv4}, visits, about(want.stimulus))
			require.Len(t, causes, 1)
			assert.Equal(t, want.text, causes[0].Text)
			assert.Equal(t, want.stimulus, causes[0].Stimulus)
			assert.Equal(t, 1, causes[0].Unjudged)
			if want.words != "" {
				assert.Equal(t, want.words, causes[0].End.Words)
			}
			assert.Equal(t, scorecard.Skip, results[0].Verdict)
			assert.Equal(t, "not judged: see cause 1", results[0].Reason)
			assert.Equal(t, 1, results[0].CauseID)
			assert.NotEqual(t, "not judged: see cause 1", results[1].Reason, "it is about that: %+v", results[1])
			assert.NotEqual(t, scorecard.Broken, results[1].Verdict, "what cannot begin follows from the cause: %+v", results[1])
			assert.False(t, scorecard.Card{Complete: true, Causes: causes, Checks: results}.OK())
		})
	}
}

// TestFileOfTheOtherFamily: a file that was left in one family keeps the subject from starting in the
// other one, which is the same cause and no lack of that family.
func TestFileOfTheOtherFamily(t *testing.T) {
	t.Parallel()
	results, causes := judged(t, "leaves a file", rig.Families[:], visits)
	require.Len(t, causes, 1)
	assert.Equal(t, "the server ends with status 4 when it is started again", causes[0].Text)
	assert.Len(t, causes[0].Families, 2)
	require.Len(t, results, 2)
	for _, r := range results {
		assert.Equal(t, []any{scorecard.Skip, 1, "not judged: see cause 1"}, []any{r.Verdict, r.CauseID, r.Reason})
	}
}

// TestPreliminaryTrialThatIsEnded: the end of the run is no fault of the subject.
func TestPreliminaryTrialThatIsEnded(t *testing.T) {
	t.Parallel()
	// Soon enough that it is not known yet whether the subject answers.
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, &EndedError{By: "-within 1s"})
	defer cancel()
	subject := Subject{Command: rig.Program("frail", "is mute", "{ip}:{port}", "").Args, Service: dialogue.MustResolve("echo")}
	var results []scorecard.Result
	var causes []scorecard.Cause
	var err error
	rig.Sub(ctx, t, func(tb rig.TB) {
		results, causes, err = Trial{Subject: subject, Families: []rig.Family{rig.IPv4}, Checks: []Check{visits}}.Run(tb)
	})
	require.NoError(t, err)
	assert.Empty(t, causes)
	require.Len(t, results, 1)
	assert.Equal(t, scorecard.Broken, results[0].Verdict)
	assert.Equal(t, "not judged: ended by -within 1s", results[0].Reason)
}

// TestOneAtATime: where a second instance does not start beside one in another lab, checks
// run one after the other.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	results, causes := judged(t, "locks", rig.Families[:], visits, about(scorecard.Restart), about(scorecard.ClientReset))
	assert.Empty(t, causes)
	for _, r := range results {
		assert.Equal(t, scorecard.Pass, r.Verdict, "%+v", r)
	}
}

// TestOneCause of two checks that reset a connection, with the subject's own words.
func TestOneCause(t *testing.T) {
	t.Parallel()
	resets := Check{Name: "resets", Meaning: "m", Run: func(c *Case) {
		s := c.Start("")
		k := c.MustDial(0)
		c.MustServe(k.Exchange())
		k.Reset()
		s.MustSurvive("a reset", "go on")
	}}
	manyResets := Check{Name: "many-resets", Meaning: "m", Run: func(c *Case) {
		c.Start("")
		for range 3 {
			k := c.MustDial(0)
			c.MustServe(k.Exchange())
			k.Reset()
			c.AwaitRest()
		}
	}}
	results, causes := judged(t, "ends on a reset", rig.Families[:], visits, resets, manyResets)
	require.Len(t, causes, 1, "%v", causes)
	assert.Equal(t, "the server ends with status 1 when a client resets its connection", causes[0].Text)
	assert.Equal(t, "Error: read ECONNRESET", causes[0].End.Words)
	assert.Equal(t, []string{"resets", "many-resets"}, causes[0].Checks)
	assert.ElementsMatch(t, []string{"IPv4", "IPv6"}, causes[0].Families)
	assert.Equal(t, "go on", causes[0].Remedy)
	for _, r := range results {
		if r.Name == "visits" {
			assert.Equal(t, scorecard.Pass, r.Verdict)
			continue
		}
		assert.Equal(t, scorecard.Fail, r.Verdict, "%+v", r)
		assert.Equal(t, 1, r.CauseID)
	}
}
