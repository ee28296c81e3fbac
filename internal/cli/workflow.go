// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"os"

	"forkrig/scorecard"
)

// inWorkflow says whether a runner of GitHub Actions reads what is printed.
func inWorkflow() bool { return os.Getenv("GITHUB_ACTIONS") == "true" }

// A commandGuard spells out what a runner of GitHub Actions would take for a command: a line that
// begins with two colons, also after blanks, and ##[ anywhere. A subject may write both. It is no
// answer to stop all commands until a token comes: they would be stopped for the rest of the job
// where the run is killed. The zero value is at the begin of a line.
type commandGuard struct {
	colons int // at the begin of the line, which has nothing else yet; -1 where it has
	hashes int // that came last
}

// guarded returns the text as it may be printed. It may end within a line.
func (g *commandGuard) guarded(text []byte) []byte {
	var b bytes.Buffer
	for _, c := range text {
		switch {
		case c == '\n' || c == '\r':
			*g = commandGuard{}
		case c <= ' ' || c >= 0x7f: // a runner does not see some of these when it compares
		case c == ':' && g.colons == 1:
			b.WriteString(`\x3a`)
			*g = commandGuard{colons: -1}
			continue
		case c == ':' && g.colons == 0:
			g.colons, g.hashes = 1, 0
		case c == '#':
			g.colons, g.hashes = -1, g.hashes+1
		case c == '[' && g.hashes >= 2:
			b.WriteString(`\u005b`) // also in JSON
			*g = commandGuard{colons: -1}
			continue
		default:
			*g = commandGuard{colons: -1}
		}
		b.WriteByte(c)
	}
	return b.Bytes()
}

// maxSummaryBytes is what GitHub takes as the summary of one step. It refuses all of a longer one.
const maxSummaryBytes = 1 << 20

// appendSummary appends the card to the summary of the job, where GitHub wants one, as far as there is
// room.
func appendSummary(card scorecard.Card) error {
	name := os.Getenv("GITHUB_STEP_SUMMARY")
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	var b bytes.Buffer
	start := "\n\n" // what is there may not have ended its line
	if info.Size() == 0 {
		start = ""
	}
	err = card.WriteMarkdownWithin(&b, maxSummaryBytes-len(start)-int(min(info.Size(), maxSummaryBytes)))
	switch {
	case err == nil && b.Len() == 0:
		err = errors.New("there is no room for the card: other commands of this step have filled the summary")
	case err == nil:
		_, err = file.WriteString(start + b.String())
	}
	return errors.Join(err, file.Close())
}
