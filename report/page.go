// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"html/template"
	"io"

	"forkrig/recorder"
	"forkrig/scorecard"
)

// maxPage is how many bytes a page has at most, unless it says something else.
const maxPage = 5_000_000

// Page is one page of HTML. The zero value is a page without anything. Writing it changes nothing,
// so that it may be read concurrently.
type Page struct {
	Title string
	// Cards stand side by side: those of several versions of a subject, of several kernels, or of
	// the shards of a search.
	Cards []Card
	// Pictures belong to no card: those of scenarios and stories. A page with one of them and no
	// card is that picture alone.
	Pictures []Picture
	// Limit is how many bytes the page has at most; 0 is 5,000,000. Beyond it detail of the largest
	// recordings is left out, what is missed least first, and the page says so in words; what is said
	// on cards is cut where it takes more than half. A page without a recording has about 120,000.
	Limit int
}

// Card is a card with the recordings of its checks.
type Card struct {
	Label string // what sets it apart from the others, such as a version or a kernel; "" is its kernel
	scorecard.Card
	Pictures []Picture
}

// Picture is a recording. Check and Family are those of a result of the card that it belongs to;
// where that card has no such result, and where they are "", it stands alone.
type Picture struct {
	Check, Family string
	Recording     recorder.Recording
}

// content is what the template shows.
type content struct {
	Title, About string
	Policy       string
	Style        template.HTML // the element of the style sheet
	Script       template.HTML // that of the script
	Alone        bool          // there is one picture, and no card
	Cards        []cardView
	Table        table
	Checks       []checkView
	Stories      []story
	Data         []datum
}

// A story is a picture that stands alone.
type story struct {
	Heading, About string
	Recording      int // its number, from 1
}

// A datum is the element with the data of one recording.
type datum struct {
	Element template.HTML
}

// WriteHTML writes the page: one file that needs nothing else. It fails only if w does.
func (p Page) WriteHTML(w io.Writer) error {
	limit := p.Limit
	if limit <= 0 {
		limit = maxPage
	}
	var c content
	var frame bytes.Buffer
	for _, d := range details {
		c = p.content(d)
		frame.Reset()
		if err := page.Execute(&frame, c); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
		if frame.Len() <= limit/2 || len(p.Cards) == 0 {
			break
		}
	}
	sheets := p.sheets()
	sizes := make([]int, len(sheets))
	const element = 60 // around the data
	for i, s := range sheets {
		sizes[i] = len(s.encode()) + element
	}
	for i, share := range shares(sizes, limit-frame.Len()) {
		data := sheets[i].fold(share - element)
		c.Data = append(c.Data, datum{template.HTML(fmt.Sprintf("<script type=\"application/json\" id=\"recording-%d\">%s</script>\n", i+1, data))})
	}
	frame.Reset()
	if err := page.Execute(&frame, c); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	_, err := w.Write(frame.Bytes())
	return err
}

// sheets are those of all recordings in the order of their numbers: those of the cards first.
func (p Page) sheets() []*sheet {
	var all []*sheet
	for _, card := range p.Cards {
		for _, picture := range card.Pictures {
			all = append(all, newSheet(picture.Recording))
		}
	}
	for _, picture := range p.Pictures {
		all = append(all, newSheet(picture.Recording))
	}
	return all
}

// content is the page without its data.
func (p Page) content(d detail) content {
	js, css := script(), asset("page.css")
	c := content{
		Title:  clean(p.Title, maxName),
		Policy: policy(js, css),
		Style:  template.HTML("<style>" + css + "</style>"),
		Script: template.HTML("<script>" + js + "</script>"),
		Alone:  len(p.Cards) == 0 && len(p.Pictures) == 1,
	}
	number := 0
	tell := func(picture Picture) {
		r := picture.Recording
		heading := clean(r.Name, maxName)
		if heading == "" {
			heading = "Recording"
		}
		c.Stories = append(c.Stories, story{Heading: heading, About: about(r), Recording: number})
	}
	for i, card := range p.Cards {
		view := newCardView(i+1, card, d)
		for _, picture := range card.Pictures {
			number++
			if !view.attach(picture, number) {
				tell(picture)
			}
		}
		c.Cards = append(c.Cards, view)
	}
	for _, picture := range p.Pictures {
		number++
		tell(picture)
	}
	c.Table, c.Checks = arrange(c.Cards)
	switch {
	case c.Alone:
		c.About = c.Stories[0].About
		c.Stories[0].About = ""
		if c.Title == "" {
			c.Title = c.Stories[0].Heading
		}
	case c.Title == "" && len(c.Cards) > 0:
		c.Title = "Scorecard of " + clean(p.Cards[0].Subject, maxName)
	case c.Title == "":
		c.Title = "Recordings"
	}
	return c
}

// about says in a line where a recording is from.
func about(r recorder.Recording) string {
	text := "kernel " + clean(r.Kernel, maxName)
	if r.Kernel == "" {
		text = "kernel not known"
	}
	if r.Seed != 0 {
		text += fmt.Sprintf(", seed %d", r.Seed)
	}
	if !r.Began.IsZero() {
		text += ", recorded " + r.Began.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return text + fmt.Sprintf(": %.3g s, %s, %s, %s, %s", r.Length.Seconds(),
		scorecard.Counted(len(r.Hosts), "host", "hosts"), scorecard.Counted(len(r.Processes), "process", "processes"),
		scorecard.Counted(len(r.Connections), "connection", "connections"), scorecard.Counted(len(r.Events), "event", "events"))
}
