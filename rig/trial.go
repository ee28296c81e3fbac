package rig

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Trial is the outcome of a test that was run to see whether it fails.
type Trial struct {
	Failed  bool
	Skipped bool
	Log     string // everything it logged, errors included
}

// Try runs f like a test of its own and returns its outcome instead of failing
// tb. It is how a check is seen to fail: f judges a defective subject, and the
// test fails unless f does. Cleanups that f registers run before Try returns.
func Try(tb testing.TB, f func(tb testing.TB)) Trial {
	tb.Helper()
	t := &trial{TB: tb}
	var cancel context.CancelFunc
	t.context, cancel = context.WithCancel(tb.Context())
	defer cancel()
	t.call(func() { f(t) })
	cancel()
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			break
		}
		last := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		t.call(last)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return Trial{Failed: t.failed, Skipped: t.skipped, Log: t.log.String()}
}

// trial is a testing.TB that keeps what happens to it. What it does not
// override, such as TempDir, belongs to the test around it.
type trial struct {
	testing.TB
	context context.Context

	mu       sync.Mutex
	failed   bool
	skipped  bool
	log      strings.Builder
	cleanups []func()
}

// call runs f on a goroutine that FailNow and SkipNow may end.
func (t *trial) call(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("panic: %v", r)
			}
		}()
		f()
	}()
	<-done
}

func (t *trial) Context() context.Context { return t.context }

func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *trial) Fail() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

func (t *trial) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *trial) Skipped() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.skipped
}

func (t *trial) print(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log.WriteString(strings.TrimSuffix(text, "\n") + "\n")
}

func (t *trial) FailNow() {
	t.Fail()
	runtime.Goexit()
}

func (t *trial) SkipNow() {
	t.mu.Lock()
	t.skipped = true
	t.mu.Unlock()
	runtime.Goexit()
}

func (t *trial) Helper()                      {}
func (t *trial) Log(args ...any)              { t.print(fmt.Sprintln(args...)) }
func (t *trial) Logf(f string, args ...any)   { t.print(fmt.Sprintf(f, args...)) }
func (t *trial) Error(args ...any)            { t.Log(args...); t.Fail() }
func (t *trial) Errorf(f string, args ...any) { t.Logf(f, args...); t.Fail() }
func (t *trial) Fatal(args ...any)            { t.Log(args...); t.FailNow() }
func (t *trial) Fatalf(f string, args ...any) { t.Logf(f, args...); t.FailNow() }
func (t *trial) Skip(args ...any)             { t.Log(args...); t.SkipNow() }
func (t *trial) Skipf(f string, args ...any)  { t.Logf(f, args...); t.SkipNow() }
