// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
	"forkrig/report"
	"forkrig/scorecard"
)

// write returns the page as it is written.
func write(t testing.TB, p report.Page) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, p.WriteHTML(&b))
	return b.String()
}

// elements finds the elements of scripts and data, and of styles, with what is in them.
var elements = regexp.MustCompile(`(?s)<(script|style)([^>]*)>(.*?)</(?:script|style)>`)

// data returns the recordings that are in a page.
func data(t testing.TB, page string) (all []map[string]any) {
	t.Helper()
	for _, e := range elements.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(e[2], "application/json") {
			continue
		}
		var one map[string]any
		require.NoError(t, json.Unmarshal([]byte(e[3]), &one))
		all = append(all, one)
	}
	return all
}

// leftOut returns what a page says that it leaves out, for each recording.
func leftOut(t testing.TB, page string) (all []string) {
	t.Helper()
	for _, one := range data(t, page) {
		all = append(all, fmt.Sprint(one["left_out"]))
	}
	return all
}

func TestPageRunsNothingButItsScript(t *testing.T) {
	for name, p := range map[string]report.Page{
		"hostile": {Title: evil[0], Pictures: []report.Picture{{Recording: hostile()}}, Cards: []report.Card{{Label: evil[0], Card: hostileCard()}}},
		"usual":   {Pictures: []report.Picture{{Recording: restartInTimeWait()}}},
		"empty":   {},
	} {
		t.Run(name, func(t *testing.T) {
			page := write(t, p)
			hashes := map[string]string{}
			for _, e := range elements.FindAllStringSubmatch(page, -1) {
				if strings.Contains(e[2], "application/json") {
					assert.NotRegexp(t, "[<>&\u2028\u2029]", e[3], "data cannot end its element")
					continue
				}
				assert.Empty(t, e[2], "attributes of the page's own script and style")
				_, known := hashes[e[1]]
				assert.False(t, known, "there is one %s", e[1])
				sum := sha256.Sum256([]byte(e[3]))
				hashes[e[1]] = base64.StdEncoding.EncodeToString(sum[:])
			}
			policy := fmt.Sprintf("default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'", hashes["script"], hashes["style"])
			policy = strings.NewReplacer("'", "&#39;", "+", "&#43;").Replace(policy)
			assert.Contains(t, page, `<meta http-equiv="Content-Security-Policy" content="`+policy+`">`)
			assert.NotRegexp(t, `<[a-z]+[^>]* (on[a-z]+|style|src)=`, page[:strings.Index(page, "<script>")], "no attribute runs or loads")
			assert.NotRegexp(t, `\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function)\b\(?`, page[strings.Index(page, "<script>"):], "text never becomes markup")
			assert.NotRegexp(t, `https?://`, page[strings.Index(page, "<style>"):strings.Index(page, "</style>")])
			assert.NotContains(t, page, "\x1b")
			assert.NotContains(t, page, "\u202e")
			assert.True(t, strings.HasPrefix(page, "<!doctype html>"))
		})
	}
}

func TestPageHasItsLimit(t *testing.T) {
	long := restartInTimeWait()
	for i := range long.Events {
		if long.Events[i].Kind == recorder.Output {
			long.Events[i].Text = strings.Repeat("a long line ", 90_000)
		}
	}
	for _, c := range []struct {
		name        string
		recordings  []recorder.Recording
		limit, most int
		leftOut     []string
	}{
		{"usual", []recorder.Recording{restartInTimeWait()}, 0, 200_000, nil},
		{"10,000 events", []recorder.Recording{large(10_000)}, 0, 2_000_000, nil},
		{"lines of 1 MB", []recorder.Recording{long}, 0, 300_000, nil},
		{"payload first", []recorder.Recording{large(10_000)}, 1_350_000, 1_350_000, []string{"the first bytes of"}},
		{"then numbers", []recorder.Recording{large(10_000)}, 1_150_000, 1_150_000, []string{"first bytes", "sequence numbers"}},
		{"then packets", []recorder.Recording{large(10_000)}, 600_000, 600_000, []string{"lines of output", "packets that open, close or reset nothing"}},
		{"then what is old", []recorder.Recording{large(10_000)}, 250_000, 250_000, []string{"packets that open", "events"}},
		{"the large one only", []recorder.Recording{restartInTimeWait(), large(10_000)}, 900_000, 900_000, []string{"first bytes"}},
		{"no room", []recorder.Recording{large(10_000)}, 1, 150_000, []string{"everything but the outcome"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pageOf(c.recordings...)
			p.Limit = c.limit
			page := write(t, p)
			t.Logf("%d bytes", len(page))
			assert.LessOrEqual(t, len(page), c.most)
			said := leftOut(t, page)
			for _, words := range c.leftOut {
				assert.Contains(t, said[len(said)-1], words)
			}
			for _, one := range said[:len(said)-1] {
				assert.Equal(t, "<nil>", one, "nothing is left out of what is small")
			}
			if c.leftOut == nil {
				assert.Equal(t, "<nil>", said[len(said)-1])
			}
			if c.limit == 1 {
				return
			}
			for i, one := range data(t, page) {
				assert.EqualValues(t, c.recordings[i].Focus, one["focus"])
				ids := map[int]bool{}
				for _, row := range one["events"].([]any) {
					ids[int(row.([]any)[0].(float64))] = true
				}
				for id := c.recordings[i].Focus - 40; id <= min(c.recordings[i].Focus+40, len(c.recordings[i].Events)); id++ {
					assert.True(t, ids[max(id, 1)], "event %d, near the focus, stays", id)
				}
			}
		})
	}
}

func TestPageShowsCards(t *testing.T) {
	page := write(t, report.Page{Cards: []report.Card{
		{Label: "before", Card: cardOf("6.12.0", true), Pictures: []report.Picture{
			{Check: "reuse-time-wait", Family: "IPv4", Recording: restartInTimeWait()},
			{Check: "unknown", Family: "IPv4", Recording: unreaped(3)},
		}},
		{Card: cardOf("7.2.0", false)},
	}, Pictures: []report.Picture{{Recording: large(100)}}})
	body := page[strings.Index(page, "<body>"):]
	body = body[:strings.Index(body, "<script")]
	text := strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")), " ")
	for _, words := range []string{
		"before not right", "7.2.0 not right", "kernel 6.12.0, 2 processors, amd64, seed 7; service seen: echo", "fork per connection",
		"3 pass, 1 warn, 1 fail, 1 broken, 1 skip", "cause 1: the server ends with status 1 when it is started while the port has connections in TIME_WAIT",
		"before 7.2.0 Check IPv4 IPv6 IPv4 IPv6 Why, or what was observed reuse-time-wait fail pass pass pass set SO_REUSEADDR",
		"backlog broken – broken – the accept queue did not become full within 60 s",
		"fail reuse-time-wait over IPv4, before · with a picture", "Findings EADDRINUSE", "Evidence processes of server:", "forkrig judge -checks reuse-time-wait -- ./server",
		"reap IPv4", "many clients, 100 events",
	} {
		assert.Contains(t, text, words)
	}
	var numbers []string
	for _, m := range regexp.MustCompile(`data-recording="(\d+)"`).FindAllStringSubmatch(body, -1) {
		numbers = append(numbers, m[1])
	}
	assert.Equal(t, []string{"1", "2", "3"}, numbers, "each recording has its place")
	assert.Len(t, data(t, page), 3)
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(body, -1) {
		assert.Contains(t, body, `id="`+link[1]+`"`, "a link has its target")
	}
}

func TestPageOfCardsHasItsLimit(t *testing.T) {
	card := cardOf("6.12.0", true)
	for i := range 3000 {
		card.Checks = append(card.Checks, scorecard.Result{Name: fmt.Sprint("check ", i), Family: "IPv4", Verdict: scorecard.Fail,
			Observed: strings.Repeat("long ", 500), Evidence: slices.Repeat([]string{strings.Repeat("line ", 20)}, 150)})
	}
	page := write(t, report.Page{Cards: []report.Card{{Card: card, Pictures: []report.Picture{{Check: "check 1", Family: "IPv4", Recording: restartInTimeWait()}}}}})
	t.Logf("%d bytes", len(page))
	assert.LessOrEqual(t, len(page), 5_000_000)
	assert.Contains(t, page, "bytes left out)")
	assert.Contains(t, page, " further checks are left out")
	assert.Equal(t, []string{"<nil>"}, leftOut(t, page), "the recording has room")
}

func TestPageAlone(t *testing.T) {
	page := write(t, pageOf(restartInTimeWait()))
	assert.Contains(t, page, `data-alone="true"`)
	assert.Contains(t, page, "<title>reuse-time-wait IPv4</title>")
	assert.NotContains(t, page, "<table")
	assert.Contains(t, write(t, pageOf(restartInTimeWait(), restartInTimeWait())), `data-alone="false"`)
}

func TestPageIsTheSameEachTime(t *testing.T) {
	p := pageOf(restartInTimeWait(), hostile())
	assert.Equal(t, write(t, p), write(t, p))
}

func TestPageTellsErrorOfWriter(t *testing.T) {
	assert.ErrorContains(t, pageOf(restartInTimeWait()).WriteHTML(failing{}), "no space")
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

// TestPageSaysWhatRecorderDropped sees both who left something out, and how much.
func TestPageSaysWhatRecorderDropped(t *testing.T) {
	r := restartInTimeWait()
	r.Dropped = []recorder.Dropped{{Kind: recorder.Segment, Count: 412}, {Kind: recorder.Output, Count: 0}}
	assert.Equal(t, []string{"[by the recorder: the oldest 412 events of kind packet]"}, leftOut(t, write(t, pageOf(r))))
}

// TestGuideNamesEachKind compares docs/read-a-picture.md with the legend of the picture.
func TestGuideNamesEachKind(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "docs", "read-a-picture.md"))
	require.NoError(t, err)
	source, err := os.ReadFile(filepath.Join("assets", "model.js"))
	require.NoError(t, err)
	words := regexp.MustCompile(`(?m)^  \["([a-z]+)", \["([A-Z][a-z ]+)", "`).FindAllStringSubmatch(string(source), -1)
	var kinds []recorder.Kind
	for _, w := range words {
		kinds = append(kinds, recorder.Kind(w[1]))
		assert.Contains(t, string(guide), "\n| "+w[2]+" | ")
	}
	all := []recorder.Kind{recorder.Note, recorder.Start, recorder.Exit, recorder.Stop, recorder.Signal, recorder.Fault, recorder.Storm, recorder.Wait,
		recorder.Call, recorder.Socket, recorder.Segment, recorder.Output, recorder.Verdict}
	slices.Sort(all)
	slices.Sort(kinds)
	assert.Equal(t, all, kinds, "the script knows each kind of event")
}
