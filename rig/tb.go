// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TB is what a lab needs of the test that it belongs to. A *testing.T is one, and
// so is what [Run] gives to a program that drives a lab outside of go test.
type TB interface {
	// Name identifies the test in output.
	Name() string
	// Context ends when the test ends, before its cleanups are called.
	Context() context.Context
	// Cleanup has f called when the test has ended, the last f first.
	Cleanup(f func())
	Helper()
	Log(args ...any)
	Logf(format string, args ...any)
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	FailNow()
	Failed() bool
	Skip(args ...any)
	SkipNow()
}

// Outcome is how a function ended that [Run], [Sub] or [Try] called.
type Outcome struct {
	Failed  bool
	Skipped bool
	// Missing is the feature for whose lack it was skipped; nil where it was not.
	Missing *MissingError
	Log     string // everything that it logged, errors included
}

// Run calls f as a test of a program: with a context that ends when ctx does or f
// has returned, and with cleanups that are called before Run returns. It is how a
// program drives a lab. The program's main function calls [Sandboxed].
func Run(ctx context.Context, name string, f func(tb TB)) Outcome {
	return call(ctx, &run{name: name}, func(r *run) { f(r) })
}

// Sub calls f as a part of tb that may fail by itself: f fails, skips and cleans up
// as a test of its own, and Sub returns its outcome instead of failing tb. Its context
// ends when ctx does or f has returned.
func Sub(ctx context.Context, tb TB, f func(tb TB)) Outcome {
	tb.Helper()
	return call(ctx, &run{name: tb.Name(), parent: tb}, func(r *run) { f(r) })
}

// Try is [Sub] for a test: f gets a whole [testing.TB]. It is how a check is seen to
// fail: f judges a defective subject, and the test fails unless f does.
func Try(tb testing.TB, f func(tb testing.TB)) Outcome {
	tb.Helper()
	return call(tb.Context(), &run{name: tb.Name(), parent: tb}, func(r *run) { f(trial{rest{tb}, r}) })
}

// trial is a testing.TB whose part in [TB] is a run. The rest, such as TempDir,
// belongs to the test around it.
type trial struct {
	rest
	*run
}

// rest lies one level deeper in trial than run does, so that run's methods hide its.
type rest struct{ testing.TB }

// run keeps what happens to a function that is called as a test. Its methods are
// those of [testing.TB]; see there.
type run struct {
	name    string
	parent  TB // nil for the outermost one of a program
	context context.Context

	mu       sync.Mutex
	failed   bool
	skipped  bool
	missing  *MissingError
	log      strings.Builder
	cleanups []func()
}

func call(ctx context.Context, r *run, f func(*run)) Outcome {
	var cancel context.CancelFunc
	r.context, cancel = context.WithCancel(ctx)
	defer cancel()
	r.call(func() { f(r) })
	cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			break
		}
		last := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		r.call(last)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return Outcome{Failed: r.failed, Skipped: r.skipped, Missing: r.missing, Log: r.log.String()}
}

// call runs f on a goroutine that FailNow and SkipNow may end.
func (r *run) call(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				stack := make([]byte, 16<<10)
				r.Errorf("panic: %v\n%s", p, stack[:runtime.Stack(stack, false)])
			}
		}()
		f()
	}()
	<-done
}

// Deadline is when go test ends the test around the run.
func (r *run) Deadline() (time.Time, bool) {
	if t, ok := r.parent.(interface{ Deadline() (time.Time, bool) }); ok {
		return t.Deadline()
	}
	return time.Time{}, false
}

func (r *run) Name() string             { return r.name }
func (r *run) Context() context.Context { return r.context }
func (r *run) Helper()                  {}

func (r *run) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *run) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *run) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *run) Skipped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skipped
}

func (r *run) print(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.WriteString(strings.TrimSuffix(text, "\n") + "\n")
}

func (r *run) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r *run) SkipNow() {
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}

// skipMissing is Skip for the lack of a feature: see [SkipIfMissing].
func (r *run) skipMissing(err *MissingError) {
	r.mu.Lock()
	r.missing = err
	r.mu.Unlock()
	r.Skip(err)
}

func (r *run) Log(args ...any)              { r.print(fmt.Sprintln(args...)) }
func (r *run) Logf(f string, args ...any)   { r.print(fmt.Sprintf(f, args...)) }
func (r *run) Error(args ...any)            { r.Log(args...); r.Fail() }
func (r *run) Errorf(f string, args ...any) { r.Logf(f, args...); r.Fail() }
func (r *run) Fatal(args ...any)            { r.Log(args...); r.FailNow() }
func (r *run) Fatalf(f string, args ...any) { r.Logf(f, args...); r.FailNow() }
func (r *run) Skip(args ...any)             { r.Log(args...); r.SkipNow() }
func (r *run) Skipf(f string, args ...any)  { r.Logf(f, args...); r.SkipNow() }
