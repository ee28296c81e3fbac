// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// How long the texts of a report in the XML of JUnit are. Some readers refuse one text above 10 MB.
const (
	junitBytes     = 8 << 20  // of all texts, about
	junitCaseBytes = 64 << 10 // of one test case
	junitMessage   = 300      // in columns
)

// WriteJUnit writes the card as the XML of JUnit, which most CI systems read: a suite for each
// family and a test case for each check. A fail is a failure, broken is an error, a skip is skipped,
// and every other verdict passes, with what was observed as its output. Where nothing failed or is
// broken and the card is not OK all the same, a further suite has an error that says why. What is
// not printable in the texts is escaped, so that the XML is well-formed whatever they hold; the
// middle of long texts is left out and counted.
func (c Card) WriteJUnit(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	encoder := xml.NewEncoder(&b)
	encoder.Indent("", "  ")
	if err := encoder.Encode(c.junit()); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// The elements of JUnit's XML, with those attributes that both Surefire and Jenkins know.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Skipped    int             `xml:"skipped,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int     `xml:"tests,attr"`
		Failures int     `xml:"failures,attr"`
		Errors   int     `xml:"errors,attr"`
		Time     seconds `xml:"time,attr"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Time    seconds      `xml:"time,attr"`
		Failure *junitWrong  `xml:"failure"`
		Error   *junitWrong  `xml:"error"`
		Skipped *junitWrong  `xml:"skipped"`
		Output  *junitOutput `xml:"system-out"`
	}
	junitWrong struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",cdata"`
	}
	junitOutput struct {
		Text string `xml:",cdata"`
	}
)

// seconds is a time as JUnit has it: in seconds with three decimals.
type seconds time.Duration

func (s seconds) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(s).Seconds()), nil
}

func (c Card) junit() junitSuites {
	all := junitSuites{Name: oneLine(c.Subject)}
	properties := []junitProperty{{"subject", all.Name}, {"kernel", oneLine(c.Kernel)}, {"machine", oneLine(c.Machine)},
		{"seed", fmt.Sprint(c.Seed)}, {"end", cmp.Or(c.end(), "complete")}}
	limit := min(junitCaseBytes, junitBytes/(len(c.Checks)+1))
	for _, family := range families(c.Checks) {
		suite := junitSuite{Name: cmp.Or(oneLine(family), "no family"), Properties: properties}
		for _, r := range inFamily(c.Checks, family) {
			suite.add(c.junitCase(r, limit), c.program())
		}
		all.add(suite)
	}
	if why := c.besideChecks(); why != "" {
		suite := junitSuite{Name: "run", Properties: properties}
		suite.add(junitCase{Name: "run", Error: &junitWrong{cut(why, junitMessage), string(Broken), why}}, c.program())
		all.add(suite)
	}
	return all
}

func (s *junitSuite) add(one junitCase, program string) {
	one.Class = program + "." + s.Name
	s.Cases = append(s.Cases, one)
	s.Tests++
	s.Time += one.Time
	switch {
	case one.Failure != nil:
		s.Failures++
	case one.Error != nil:
		s.Errors++
	case one.Skipped != nil:
		s.Skipped++
	}
}

func (s *junitSuites) add(suite junitSuite) {
	s.Suites = append(s.Suites, suite)
	s.Tests += suite.Tests
	s.Failures += suite.Failures
	s.Errors += suite.Errors
	s.Time += suite.Time
}

// junitCase returns the result with at most about limit bytes of text.
func (c Card) junitCase(r Result, limit int) junitCase {
	r.Verdict = r.Verdict.kind().Verdict
	// The time is cut as in JSON, so that a card that was written and read has the same XML.
	one := junitCase{Name: oneLine(r.Name), Time: seconds(max(r.Duration, 0).Truncate(tenth))}
	text := c.account(r)
	for i, line := range text {
		text[i] = shorten(line, limit/4)
	}
	said := strings.Join(excerpt(text, limit), "\n")
	message := labelled(strings.Join(r.Findings, ", "), cmp.Or(r.Observed, r.Remedy, r.Reason))
	if r.Verdict != Fail {
		message = r.short()
	}
	wrong := &junitWrong{cut(oneLine(message), junitMessage), string(r.Verdict), said}
	switch r.Verdict {
	case Fail:
		one.Failure = wrong
	case Broken:
		one.Error = wrong
	case Skip:
		one.Skipped = wrong
	default:
		one.Output = &junitOutput{said}
	}
	return one
}

// besideChecks says why the card is not OK where no check says it, "" where one does or it is OK.
func (c Card) besideChecks() string {
	n := c.Counts()
	var all []string
	if missing, of := c.missingShards(); len(c.Runs) > 0 && len(missing) > 0 {
		all = append(all, fmt.Sprintf("shards missing: %s of %d", numbers(missing), of))
	}
	if c.OK() || n.Fail+n.Broken > 0 {
		return strings.Join(all, "; ")
	}
	for _, cause := range c.Causes {
		all = append(all, cause.String())
	}
	if end := c.end(); end != "" {
		all = append(all, end)
	}
	if len(all) == 0 {
		all = append(all, "no check has judged anything: "+n.String())
	}
	return strings.Join(all, "; ")
}

// program is the name of the subject's program, in one printable word without a dot, which would
// make a package of it.
func (c Card) program() string {
	words := strings.Fields(oneLine(c.Subject))
	if len(words) == 0 {
		return "subject"
	}
	return strings.ReplaceAll(path.Base(strings.Trim(words[0], `'"`)), ".", "_")
}
