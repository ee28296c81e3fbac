// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failed is a fail whose subject ended with status 1 after these stimuli.
func failed(name, family, words string, after ...Stimulus) Result {
	return Result{Name: name, Family: family, Verdict: Fail, Remedy: "remedy of " + name,
		End: &End{Kind: Exited, Status: 1, Words: words, After: after}}
}

func TestFindCauses(t *testing.T) {
	const reset = "Error: read ECONNRESET"
	results := []Result{
		{Name: "reap", Family: "IPv4", Verdict: Pass},
		failed("accept-aborted", "IPv4", "accept4: software caused connection abort", AcceptError),
		failed("reset-survived", "IPv4", reset, ClientReset),
		failed("reset-survived", "IPv6", reset, ClientReset),
		failed("slow-reader", "IPv4", "Error: write EPIPE", SlowReader, ClientReset),
		failed("vanished-client", "IPv4", reset, WorkerEnds, ClientReset, ClientVanishes),
		failed("accept-short", "IPv4", "accept4: too many open files in system", AcceptError),
		failed("reload", "IPv4", reset, WorkerEnds, Reload),
		{Name: "concurrent", Family: "IPv4", Verdict: Fail, Remedy: "poll all connections"},
		{Name: "term", Family: "IPv4", Verdict: Broken, Reason: "because"},
	}
	causes := FindCauses(results)
	require.Len(t, causes, 3)
	first := causes[0]
	assert.Equal(t, 1, first.ID)
	assert.Equal(t, "the server ends with status 1 when a client resets its connection", first.Text)
	assert.Equal(t, ClientReset, first.Stimulus)
	assert.Equal(t, []string{"reset-survived", "slow-reader", "vanished-client"}, first.Checks)
	assert.Equal(t, []string{"IPv4", "IPv6"}, first.Families)
	assert.Equal(t, "remedy of reset-survived", first.Remedy)
	assert.Equal(t, `cause 1: the server ends with status 1 when a client resets its connection: "Error: read ECONNRESET"; 3 checks fail because of it`, first.String())

	ids := map[string]int{}
	for _, r := range results {
		ids[r.Name] = r.CauseID
	}
	assert.Equal(t, map[string]int{"reap": 0, "accept-aborted": 2, "reset-survived": 1, "slow-reader": 1, "vanished-client": 1,
		"accept-short": 2, "reload": 3, "concurrent": 0, "term": 0}, ids, "other stimuli are other causes")
	for _, r := range results {
		if r.Name == "vanished-client" {
			assert.Empty(t, r.Remedy, "it did something else last")
		}
	}
	assert.Equal(t, "poll all connections", results[8].Remedy)
}

// TestOneCauseOfADeafAndAnEndedServer: it takes no more clients, and ends with the last that it has.
func TestOneCauseOfADeafAndAnEndedServer(t *testing.T) {
	const words = "client failed: ECONNRESET"
	deaf := failed("reset-survived", "IPv4", words, ClientReset)
	deaf.End.Kind, deaf.End.Status = Deaf, 0
	causes := FindCauses([]Result{deaf, failed("peer-gone", "IPv4", words, WorkerEnds, ClientReset), failed("log-closed", "IPv4", words, LogClosed)})
	require.Len(t, causes, 2)
	assert.Equal(t, "the server serves no new client when a client resets its connection", causes[0].Text)
	assert.Equal(t, []string{"reset-survived", "peer-gone"}, causes[0].Checks)
}

func TestFindCausesMasksWhatDiffers(t *testing.T) {
	results := []Result{
		failed("reap", "IPv4", "11:02:03 accept from 10.0.1.2:4711: bad fd 7 at 0x7ffc01", WorkerEnds),
		failed("reap", "IPv6", "11:02:04 accept from fd00:1::2:4712: bad fd 9 at 0x7ffc99", WorkerEnds),
	}
	assert.Len(t, FindCauses(results), 1)
	assert.Equal(t, "N accept from N: bad fd N at N", MaskWords(results[0].End.Words))
}

func TestFindCausesOfWhatIsKnown(t *testing.T) {
	known := NewCause(End{Kind: Exited, Status: 1}, WorkerEnds)
	known.ID, known.Unjudged = 1, 20
	about := failed("bytes-exact", "IPv4", "")
	about.End, about.CauseID = nil, 1 // the preliminary trial says so
	results := []Result{failed("reap", "IPv4", "", WorkerEnds), failed("term", "IPv4", "", SIGTERM), about}
	causes := FindCauses(results, known)
	require.Len(t, causes, 2)
	assert.Equal(t, "remedy of bytes-exact", results[2].Remedy)
	assert.Equal(t, []string{"reap", "bytes-exact"}, causes[0].Checks)
	assert.Equal(t, "cause 1: the server ends with status 1 when a worker ends; 2 checks fail because of it; 20 checks are not judged over IPv4", causes[0].String())
	assert.Equal(t, []string{"term"}, causes[1].Checks)
	assert.Equal(t, []int{1, 2, 1}, []int{results[0].CauseID, results[1].CauseID, results[2].CauseID})
}

func TestCauseKeepsACardFromBeingOK(t *testing.T) {
	card := Card{Complete: true, Checks: []Result{{Name: "reap", Family: "IPv4", Verdict: Pass}, {Name: "term", Family: "IPv4", Verdict: Skip}}}
	require.True(t, card.OK())
	card.Causes = []Cause{{ID: 1, Text: "the server ends with status 1 when a client leaves", Unjudged: 1}}
	assert.False(t, card.OK())
}

// TestOldCause reads the field "cause" of older cards, which was the remedy or the reason.
func TestOldCause(t *testing.T) {
	card, err := Parse(strings.NewReader(`{"subject": "s", "kernel": "k", "seed": 1, "checks": [
		{"name": "reap", "verdict": "fail", "cause": "call waitpid"}, {"name": "term", "verdict": "skip", "cause": "needs root"}]}`))
	require.NoError(t, err)
	assert.Equal(t, "call waitpid", card.Checks[0].Remedy)
	assert.Empty(t, card.Checks[0].Reason)
	assert.Equal(t, "needs root", card.Checks[1].Reason)
}
