// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
	"forkrig/report"
	"forkrig/rig"
	"forkrig/scorecard"
)

// screenshotsEnv names a directory into which the tests write pictures of what they saw.
const screenshotsEnv = "FORKRIG_SCREENSHOTS"

// patience is how long a test may take with its browser, also on a busy machine.
const patience = 6 * time.Minute

// A tab is a page in a browser. It knows of each request and each error that it saw.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	requests []string
	errors   []string
}

// launch starts a browser for the test, with a profile of its own, and returns its context.
func launch(t testing.TB) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "google-chrome", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		rig.SkipIfMissing(t, &rig.MissingError{Feature: "browser", Err: errors.New("no chromium"), Remedy: "install chromium"})
	}
	// A helper of the browser may write into its profile for a moment after the browser has ended.
	profile, err := os.MkdirTemp("", "forkrig-browser-")
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(profile); err != nil {
			t.Logf("remove the profile of the browser: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
	)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("end the browser: %v", err)
		}
		cancel()
	})
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// A window is how a page is looked at. The zero value is a large one, in light colours.
type window struct {
	width, height int64
	dark          bool
	hash          string // that the address ends with
}

// open shows a page from a file in a tab of its own.
func open(t testing.TB, browser context.Context, p report.Page, w window) *tab {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, os.WriteFile(path, []byte(write(t, p)), 0o600))
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	one := &tab{t: t, ctx: ctx}
	require.NoError(t, chromedp.Do(ctx))
	require.NoError(t, chromedp.Listen(ctx, one.listen))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	if w.width == 0 {
		w.width, w.height = 1440, 950
	}
	one.do(chromedp.EmulateViewport(w.width, w.height))
	scheme := "light"
	if w.dark {
		scheme = "dark"
	}
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	require.NoError(t, err)
	one.do(chromedp.Navigate("file://" + path + w.hash))
	return one
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		b.errors = append(b.errors, text)
	case *runtime.EventConsoleAPICalled:
		b.errors = append(b.errors, fmt.Sprint("console.", e.Type))
	case *log.EventEntryAdded:
		b.errors = append(b.errors, e.Entry.Text)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, actions...))
}

// run runs a script in the page.
func (b *tab) run(script string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](script))
}

// eval runs a script in the page and returns its value.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	require.NoError(b.t, err, script)
	return value
}

// shoot writes a picture of the whole page, where a directory is named for it.
func (b *tab) shoot(name string) { b.t.Helper(); b.write(name, chromedp.FullScreenshot(100)) }

// shootView writes a picture of what the window shows.
func (b *tab) shootView(name string) { b.t.Helper(); b.write(name, chromedp.CaptureScreenshot()) }

func (b *tab) write(name string, shot chromedp.Action[[]byte]) {
	b.t.Helper()
	dir := os.Getenv(screenshotsEnv)
	if dir == "" {
		return
	}
	require.NoError(b.t, os.MkdirAll(dir, 0o755))
	png, err := chromedp.Run(b.ctx, shot)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}

// quiet sees that the page asked for nothing but itself, and complained of nothing.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Empty(b.t, b.errors, "errors")
	require.NotEmpty(b.t, b.requests, "the page itself")
	for _, url := range b.requests[1:] {
		assert.Equal(b.t, "data:,", url, "requests")
	}
}

// state is what window.forkrig.state returns.
type state struct {
	From, To, Width, Height, ScrollTop float64
	ShortPauses                        bool
	Selected, Found, Shown, Events     int
	Draws                              struct {
		Count         int
		Longest, Last float64
	}
}

func (b *tab) state() state { b.t.Helper(); return eval[state](b, "forkrig.state()") }

// position is what window.forkrig.positionOf returns.
type position struct {
	X, Y        float64
	Lane, Group string
	Arrives     *float64
}

// positions returns where all events from 1 to n stand, nil for one that is hidden.
func (b *tab) positions(n int) []*position {
	b.t.Helper()
	return eval[[]*position](b, fmt.Sprintf("Array.from({length: %d}, (_, i) => forkrig.positionOf(i + 1))", n))
}

// pixel returns the colour of the canvas at a place as "r,g,b".
func (b *tab) pixel(x, y float64) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`(() => {
		const c = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
		c.drawImage(document.querySelector("canvas.lanes"), %v, %v, 1, 1, 0, 0, 1, 1);
		return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3).join();
	})()`, math.Round(x), math.Round(y)))
}

// canvas returns where the canvas stands on the screen.
func (b *tab) canvas() (x, y float64) {
	b.t.Helper()
	box := eval[[]float64](b, `(() => { const b = document.querySelector("canvas.lanes").getBoundingClientRect(); return [b.left, b.top]; })()`)
	return box[0], box[1]
}

// settle waits until what was asked for is drawn.
func (b *tab) settle() {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))))", chromedp.EvalAwaitPromise))
	require.NoError(b.t, err)
}

func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
	b.settle()
}

// press clicks the first element that has this selector, and whose text begins with this.
func (b *tab) press(selector, text string) {
	b.t.Helper()
	b.run(fmt.Sprintf("[...document.querySelectorAll(%q)].find((e) => e.textContent.trim().startsWith(%q)).click()", selector, text))
	b.settle()
}

func pageOf(recordings ...recorder.Recording) report.Page {
	var p report.Page
	for _, r := range recordings {
		p.Pictures = append(p.Pictures, report.Picture{Recording: r})
	}
	return p
}

// find returns the first event of a kind with this in its text.
func find(t testing.TB, r recorder.Recording, kind recorder.Kind, text string) recorder.Event {
	t.Helper()
	for _, e := range r.Events {
		if e.Kind == kind && strings.Contains(e.Text, text) {
			return e
		}
	}
	require.Fail(t, "no such event", "%s %q", kind, text)
	return recorder.Event{}
}

func TestBrowser(t *testing.T) {
	browser := launch(t)
	one := restartInTimeWait()

	t.Run("first view", func(t *testing.T) {
		b := open(t, browser, pageOf(one), window{})
		s, focus := b.state(), eval[position](b, fmt.Sprintf("forkrig.positionOf(%d)", one.Focus))
		assert.InDelta(t, s.Width/2, focus.X, 1, "the focus is in the middle")
		assert.Equal(t, "server", focus.Lane)
		for _, text := range append(one.Outcome.Words, one.Outcome.Observed, one.Outcome.Expected, one.Outcome.Why) {
			assert.Contains(t, eval[string](b, `document.querySelector(".panel").innerText`), text)
		}
		b.shoot("light")
		b.press(".words a", one.Outcome.Words[0])
		assert.Equal(t, find(t, one, recorder.Output, one.Outcome.Words[0]).ID, b.state().Selected, "the server's words lead to where they were written")
		b.press(".steps button", "Close")
		b.press(".bar button", "Fit all")
		b.shoot("light-all")
		b.press(".bar button", "Help")
		b.shoot("help")
		b.quiet()

		b = open(t, browser, pageOf(one), window{width: 2300, height: 1300})
		b.press(".bar button", "Fit all")
		b.shoot("wide-all")
		b.quiet()
		b = open(t, browser, pageOf(one), window{width: 420, height: 850})
		assert.LessOrEqual(t, eval[float64](b, "document.documentElement.scrollWidth"), 420.0, "nothing is wider than the window")
		b.shoot("narrow")
		b.quiet()
	})

	t.Run("marks stand where events are", func(t *testing.T) {
		b := open(t, browser, pageOf(one), window{})
		b.press(".bar button", "Fit all")
		last := math.Inf(-1)
		for i, p := range b.positions(len(one.Events)) {
			require.NotNil(t, p, "event %d", i+1)
			assert.GreaterOrEqual(t, p.X, last, "event %d is not before event %d", i+1, i)
			assert.InDelta(t, float64(one.Events[i].At), eval[float64](b, fmt.Sprintf("forkrig.timeAt(%v)", p.X)), 1e3, "the time at event %d", i+1)
			last = p.X
		}

		b.press(".bar .mode", "")
		s := b.state()
		assert.False(t, s.ShortPauses)
		type lane struct {
			Kind, Label, Group string
			Top, Height        float64
		}
		lanes := eval[[]lane](b, "forkrig.lanes()")
		for i, p := range b.positions(len(one.Events)) {
			e := one.Events[i]
			assert.InDelta(t, (float64(e.At)-s.From)/(s.To-s.From)*s.Width, p.X, 0.01, "event %d by the clock", i+1)
			if e.Packet != nil && e.Packet.Took >= 0 {
				assert.InDelta(t, float64(e.Packet.Took)/(s.To-s.From)*s.Width, *p.Arrives-p.X, 0.01, "the slope of packet %d", i+1)
			}
			inLane := false
			for _, l := range lanes {
				const axis = 48
				y := p.Y - axis + s.ScrollTop
				inLane = inLane || l.Label == p.Lane && l.Group == p.Group && y >= l.Top && y <= l.Top+l.Height
			}
			assert.True(t, inLane, "event %d is in its lane %s", i+1, p.Lane)
			if e.Host != "" && e.Connection == 0 && e.Span == 0 {
				assert.Equal(t, "host "+e.Host, p.Group, "event %d", i+1)
			}
		}

		b.press(".bar .mode", "")
		b.press(".bar button", "Where it went wrong")
		signal := find(t, one, recorder.Signal, "SIGTERM")
		p := b.positions(len(one.Events))[signal.ID-1]
		assert.Equal(t, "123,63,196", b.pixel(p.X, p.Y), "the mark of the signal is there, in its colour")
		assert.NotEqual(t, "123,63,196", b.pixel(p.X-12, p.Y))
	})

	t.Run("zoom and pan", func(t *testing.T) {
		b := open(t, browser, pageOf(one), window{})
		left, top := b.canvas()
		under := func() float64 { return eval[float64](b, "forkrig.timeAt(200)") }
		span := func() float64 { s := b.state(); return s.To - s.From }
		before, at := span(), under()
		wheel := func(deltaY float64, modifiers ...chromedp.Modifier) {
			b.do(chromedp.MouseEvent(chromedp.MouseWheel, left+200, top+300, chromedp.ButtonModifiers(modifiers...),
				func(p *input.DispatchMouseEventParams) { p.DeltaX, p.DeltaY = 0.001, deltaY }))
			b.settle()
		}
		wheel(-300)
		assert.Less(t, span(), before/1.3, "the wheel zooms in")
		assert.InDelta(t, at, under(), 1e3, "the time below the pointer stays")
		wheel(300)
		assert.InDelta(t, before, span(), before/100, "and out")

		x := b.positions(one.Focus)[one.Focus-1].X
		b.do(chromedp.DragAndDropXY(left+500, top+300, left+400, top+300))
		b.settle()
		assert.InDelta(t, x-100, b.positions(one.Focus)[one.Focus-1].X, 0.5, "a drag moves the picture with the pointer")
		b.keys("f")
		assert.InDelta(t, x, b.positions(one.Focus)[one.Focus-1].X, 1, "F brings the focus back")

		b.keys("+")
		assert.Less(t, span(), before/1.3, "+ zooms in")
		b.keys("0")
		s := b.state()
		assert.Less(t, s.From, 1.0)
		assert.Greater(t, s.To, float64(one.Length), "0 shows all")

		touch := func(kind input.DispatchTouchEventType, xs ...float64) {
			points := []*input.TouchPoint{}
			for i, x := range xs {
				id := float64(i)
				points = append(points, &input.TouchPoint{X: left + x, Y: top + 300, ID: &id})
			}
			_, err := chromedp.Call(b.ctx, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: points})
			require.NoError(t, err)
		}
		b.keys("f")
		before = span()
		touch(input.DispatchTouchEventTypeTouchStart, 300, 400)
		touch(input.DispatchTouchEventTypeTouchMove, 250, 450)
		touch(input.DispatchTouchEventTypeTouchMove, 200, 500)
		touch(input.DispatchTouchEventTypeTouchEnd)
		b.settle()
		assert.Less(t, span(), before/1.5, "two fingers zoom")
		b.quiet()
	})

	t.Run("keyboard", func(t *testing.T) {
		b := open(t, browser, pageOf(one), window{})
		b.do(chromedp.Focus(".stage"))
		b.keys(kb.Home)
		assert.Equal(t, 1, b.state().Selected, "Home selects the first event")
		b.keys(kb.ArrowRight, kb.ArrowRight)
		assert.Equal(t, 3, b.state().Selected)
		b.keys(kb.ArrowLeft)
		assert.Equal(t, 2, b.state().Selected)
		b.keys(kb.End)
		assert.Equal(t, len(one.Events), b.state().Selected)
		_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](fmt.Sprintf(`location.hash === "#e%d"`, len(one.Events))))
		require.NoError(t, err, "the address is the link to the event")
		p := b.positions(len(one.Events))[len(one.Events)-1]
		assert.True(t, p.X >= 0 && p.X <= b.state().Width, "what is selected comes into view")
		group := func() string { return b.positions(len(one.Events))[b.state().Selected-1].Group }
		assert.Equal(t, "rig", group())
		for range 5 {
			b.keys(kb.ArrowDown)
		}
		assert.Equal(t, "host server", group(), "the arrow down goes to the lanes below")
		b.keys(kb.Enter)
		assert.Equal(t, "event", eval[string](b, "document.activeElement.className"), "Enter goes to the panel")
		assert.Contains(t, eval[string](b, `document.querySelector("[aria-live]").textContent`), "Event ", "a screen reader says the event")
		b.do(chromedp.Focus(".stage"))
		b.keys(kb.Escape)
		assert.Zero(t, b.state().Selected)
		b.keys("t")
		assert.True(t, eval[bool](b, `document.querySelector("details.events").open`))

		b.run(`document.querySelector(".name.header button").focus()`)
		lanes := eval[int](b, "forkrig.lanes().length")
		b.keys(kb.Enter)
		assert.Less(t, eval[int](b, "forkrig.lanes().length"), lanes, "a host folds by key")
		assert.Equal(t, "false", eval[string](b, `document.activeElement.getAttribute("aria-expanded")`), "and its button keeps the focus")
		unnamed := `[...document.querySelectorAll("button, input, select, [tabindex='0']")].filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label"))).length`
		assert.Zero(t, eval[int](b, unnamed), "every control has a name")
		b.quiet()
	})

	t.Run("filters and search", func(t *testing.T) {
		b := open(t, browser, pageOf(one), window{})
		packets, ofOne := 0, 0
		for _, e := range one.Events {
			if e.Packet != nil {
				packets++
			}
			if e.Connection == 3 || e.Connection == 0 {
				ofOne++
			}
		}
		b.press(".chip", "Packet")
		assert.Equal(t, len(one.Events)-packets, b.state().Shown)
		packet := find(t, one, recorder.Segment, "SYN")
		assert.Nil(t, b.positions(len(one.Events))[packet.ID-1], "a hidden event has no position")
		b.press(".chip", "Packet")
		b.press(".chip", "client2")
		assert.NotContains(t, eval[[]string](b, "forkrig.lanes().map((l) => l.group)"), "host client2")
		b.press(".chip", "client2")
		assert.Equal(t, len(one.Events), b.state().Shown)
		b.run(`(() => { const s = document.querySelector(".legend select"); s.value = "3"; s.dispatchEvent(new Event("change")); })()`)
		assert.Equal(t, ofOne, b.state().Shown, "one connection, and what is of none")
		b.run(`(() => { const s = document.querySelector(".legend select"); s.value = "0"; s.dispatchEvent(new Event("change")); })()`)

		b.do(chromedp.Focus("input[type=search]"))
		b.keys("retransmission")
		assert.Equal(t, 2, b.state().Found)
		b.keys(kb.Enter)
		first := b.state().Selected
		b.keys(kb.Enter)
		second := b.state().Selected
		assert.NotZero(t, first)
		assert.Greater(t, second, first, "Enter goes to the next one")
		assert.Contains(t, eval[string](b, `document.querySelector(".count").textContent`), "2 of 2")
		b.shoot("search")
		b.keys(kb.Escape)
		assert.Equal(t, -1, b.state().Found)
		b.quiet()
	})

	t.Run("folded lanes", func(t *testing.T) {
		b := open(t, browser, pageOf(one), window{})
		b.press(".name.header button", "▾server")
		p := b.positions(len(one.Events))[one.Focus-1]
		require.NotNil(t, p)
		assert.Equal(t, "server", p.Lane)
		height := eval[float64](b, `forkrig.lanes().filter((l) => l.group === "host server").reduce((sum, l) => sum + l.height, 0)`)
		assert.Less(t, height, 40.0, "one lane stands for the host")
		b.shoot("folded")
		connections := `forkrig.lanes().filter((l) => l.kind === "connection").length`
		b.press(".bar button", "Lanes: all")
		assert.Equal(t, 1, eval[int](b, connections), "one connection has an event in view")
		b.shoot("lanes-in-view")
		b.press(".bar button", "Lanes: in view")
		assert.Equal(t, 3, eval[int](b, connections))
		b.do(chromedp.Focus(".stage"))
		b.keys("f")
		assert.Greater(t, eval[int](b, `forkrig.lanes().filter((l) => l.group === "host server").length`), 3, "what is looked for unfolds")

		b = open(t, browser, pageOf(unreaped(120)), window{})
		folded := eval[[]string](b, `forkrig.lanes().filter((l) => l.folded).map((l) => l.label)`)
		assert.Equal(t, []string{"Connections (40)", "Connections (40)", "Connections (40)"}, folded, "too many connections are folded at first")
	})

	t.Run("links to events", func(t *testing.T) {
		b := open(t, browser, pageOf(one), window{hash: "#e70", dark: true})
		s := b.state()
		assert.Equal(t, 70, s.Selected)
		assert.InDelta(t, s.Width/2, b.positions(70)[69].X, 1, "it is in the middle")
		assert.Contains(t, eval[string](b, `document.querySelector(".event").innerText`), one.Events[69].Text)
		assert.Equal(t, "27,31,38", b.pixel(1, 40), "the axis is dark")
		b.shoot("dark-selected")
		b.run(`location.hash = "#e12"`)
		b.settle()
		assert.Equal(t, 12, b.state().Selected, "a link in the page is followed")
		b.press("#theme", "")
		b.press("#theme", "Colours: light")
		assert.Equal(t, "dark", eval[string](b, "document.documentElement.dataset.theme"))
		b.press("#theme", "")
		b.press("#theme", "Colours: as the system")
		assert.Equal(t, "246,247,249", b.pixel(1, 40), "the switch makes it light")
		b.quiet()

		for _, hash := range []string{"#e99999", "#r9e1", "#", "#e", "#%", "#c1k1", "#constructor"} {
			b = open(t, browser, pageOf(one), window{hash: hash})
			assert.Zero(t, b.state().Selected, hash)
			b.quiet()
		}
	})

	t.Run("cards", func(t *testing.T) {
		page := report.Page{Cards: []report.Card{
			{Card: cardOf("6.12.0", true), Pictures: []report.Picture{{Check: "reuse-time-wait", Family: "IPv4", Recording: one}}},
			{Card: cardOf("7.2.0", false)},
		}, Pictures: []report.Picture{{Text: "a client connects\nall workers end", Recording: unreaped(6)}}, Tables: []report.Table{{Title: "Kernels", Rows: [][]string{
			{"Probe", "6.12.0", "7.2.0"}, {"bind while the port has TIME_WAIT", "EADDRINUSE", "EADDRINUSE"}, {"accept after RST", "pass", "fail"}}}}}
		b := open(t, browser, page, window{})
		b.shoot("cards")
		assert.Equal(t, []int{1, 2}, eval[[]int](b, "forkrig.pictures()"), "what is wrong is seen at once")
		page.Cards[0].Card.Checks[2].Verdict = scorecard.Pass
		b = open(t, browser, page, window{})
		assert.Equal(t, []int{2}, eval[[]int](b, "forkrig.pictures()"), "a picture that is folded is not made")
		b.run(`document.querySelector(` + "`.matrix a[href='#${document.querySelector(\".check [data-recording]\").closest(\".check\").id}']`" + `).click()`)
		_, err := chromedp.Run(b.ctx, chromedp.Poll[bool]("forkrig.pictures().length === 2"))
		require.NoError(t, err, "the verdict opens its check, with its picture")
		b.run(`[...document.querySelectorAll(".matrix a")].at(-1).click()`)
		_, err = chromedp.Run(b.ctx, chromedp.Poll[bool](`document.querySelector(".others").open && document.querySelectorAll(".others .check[open]").length === 1`))
		require.NoError(t, err, "also one among the others")
		b.quiet()
		b = open(t, browser, page, window{hash: "#r1e60"})
		assert.Equal(t, 60, eval[int](b, "forkrig.state(1).selected"))
		b.shoot("cards-event")
		b.quiet()
	})

	t.Run("table and paper", func(t *testing.T) {
		b := open(t, browser, pageOf(large(1200)), window{})
		rows := `document.querySelectorAll(".events tbody tr").length`
		assert.Zero(t, eval[int](b, rows), "the table is made when it is opened")
		b.run(`document.querySelector(".events summary").click()`)
		_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](rows+" === 1200"))
		require.NoError(t, err)
		b.run(`document.querySelectorAll(".events tbody tr")[41].click()`)
		assert.Equal(t, 42, b.state().Selected, "a row selects its event")

		b = open(t, browser, pageOf(one), window{width: 1000, height: 700, dark: true})
		_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
		require.NoError(t, err)
		b.run(`window.dispatchEvent(new Event("beforeprint"))`)
		assert.Positive(t, eval[int](b, `document.querySelectorAll(".paper tbody tr").length`))
		assert.Equal(t, "246,247,249", b.pixel(1, 40), "the colours of paper are light")
		b.shoot("paper")
		b.run(`window.dispatchEvent(new Event("afterprint"))`)
		assert.Equal(t, "auto", eval[string](b, "document.documentElement.dataset.theme"))
		pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPrintBackground()))
		require.NoError(t, err)
		assert.Greater(t, len(pdf), 20_000)
		b.quiet()
	})

	t.Run("zombies", func(t *testing.T) {
		b := open(t, browser, pageOf(unreaped(40)), window{})
		b.shoot("zombies")
		b.press(".bar button", "Fit all")
		b.shoot("zombies-all")
		b.quiet()
	})

	t.Run("hostile", func(t *testing.T) {
		r := hostile()
		b := open(t, browser, report.Page{Title: r.Name, Pictures: []report.Picture{{Recording: r}}, Cards: []report.Card{{Label: "<b>", Card: hostileCard()}}}, window{})
		b.press(".bar button", "Fit all")
		b.run(`document.querySelectorAll("details").forEach((d) => { d.open = true; })`)
		b.do(chromedp.Focus(".stage"))
		b.run(fmt.Sprintf(`for (let n = 0; n < %d; n++) document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: n ? "ArrowRight" : "Home", bubbles: true}))`, len(r.Events)))
		assert.Equal(t, len(r.Events), b.state().Selected, "each event was selected")
		for _, key := range []string{"s", "+", "-", "s", "v", "0", "+", "v", "-", "f", "t", "?"} { // each of them many times
			b.run(fmt.Sprintf(`for (let n = 0; n < 61; n++) document.querySelector(".stage").dispatchEvent(new KeyboardEvent("keydown", {key: %q, bubbles: true}))`, key))
			b.settle()
		}
		b.settle()
		assert.False(t, eval[bool](b, `"pwned" in window`), "nothing in the data runs")
		assert.Equal(t, 2, eval[int](b, `document.querySelectorAll("script").length`), "the script, and the data")
		assert.Zero(t, eval[int](b, `document.querySelectorAll("img, iframe, object, embed, svg, base, form").length`))
		unprintable := `[...document.body.innerText].filter((c) => /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u2028\u2029]/u.test(c) && c !== "\n" && c !== "\t").map((c) => c.codePointAt(0))`
		assert.Empty(t, eval[[]int](b, unprintable), "nothing that is not printable is shown")
		b.run(`document.querySelector(".single").scrollIntoView()`)
		b.shootView("hostile")
		b.quiet()
	})

	t.Run("alike", func(t *testing.T) {
		l := newLab("alike", 1)
		d := l.connect(1)
		l.pass(time.Second)
		first := len(l.Events) + 1
		for _, marks := range [][]string{nil, {"lost"}, nil, {"retransmission"}, {"lost"}, {"retransmission"}, {"retransmission", "lost"}} {
			d.packet("client", "PSH ACK", 5, "hello", marks...)
		}
		for i := first; i < len(l.Events); i++ { // all at once
			l.Events[i].At = l.Events[first-1].At
		}
		b := open(t, browser, pageOf(l.done()), window{})
		b.press(".bar button", "Fit all")
		arrows := eval[[][]int](b, fmt.Sprintf("forkrig.arrows().map((a) => a.map((id) => id - %d)).filter((a) => a[0] >= 0)", first))
		assert.ElementsMatch(t, [][]int{{0, 2}, {1, 4}, {3, 5}, {6}}, arrows, "an arrow stands for packets that look like the first of them")
		b.quiet()
	})

	t.Run("nothing", func(t *testing.T) {
		for _, p := range []report.Page{{}, pageOf(recorder.Recording{}), pageOf(recorder.Recording{Name: "one", Events: []recorder.Event{{ID: 1, Kind: recorder.Note, Text: "alone"}}})} {
			b := open(t, browser, p, window{})
			b.quiet()
		}
	})
}

// TestLargeRecording says what 10,000 events take: on a busy machine any bound would be broken at
// times.
func TestLargeRecording(t *testing.T) {
	browser := launch(t)
	b := open(t, browser, pageOf(large(10_000)), window{})
	require.Equal(t, 10_000, b.state().Events)
	loaded := eval[float64](b, `performance.getEntriesByType("navigation")[0].domComplete`)
	t.Logf("loaded in %.0f ms", loaded)
	b.shoot("large")
	b.press(".bar button", "Fit all")
	b.shoot("large-all")

	// Frames while the picture is moved and zoomed: how long the script blocks each.
	for name, move := range map[string]string{"pan": `new WheelEvent("wheel", {deltaX: 60, shiftKey: true, cancelable: true})`,
		"zoom": `new WheelEvent("wheel", {deltaY: n < 40 ? -60 : 60, clientX: 700, cancelable: true})`} {
		longest, err := chromedp.Run(b.ctx, chromedp.Evaluate[float64](`new Promise((done) => {
			let n = 0, longest = 0;
			const frame = () => {
				longest = Math.max(longest, forkrig.state().draws.last);
				if (n++ === 80) return done(longest);
				document.querySelector("canvas.lanes").dispatchEvent(`+move+`);
				requestAnimationFrame(frame);
			};
			frame();
		})`, chromedp.EvalAwaitPromise))
		require.NoError(t, err)
		t.Logf("%s: the longest of 80 frames took %.1f ms to draw", name, longest)
		assert.Positive(t, longest)
	}
	b.shoot("large-moved")
	b.quiet()
}
