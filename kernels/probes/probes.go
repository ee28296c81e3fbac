// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Probe is one question to the kernel.
type Probe struct {
	ID     string // stable, such as "K15"
	Name   string // what is asked, for a reader
	Source string // where the change comes from, in one line: commits, tests, sections of RFCs

	// ask returns the answer. It is called on a thread in a fresh network namespace.
	ask func(*namespace) string
}

// Answer is what the kernel answered to one probe. Of Value, Missing and Broken just one is set.
type Answer struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Source string `json:"source"`
	Value  string `json:"value,omitempty"`
	// Missing names the feature or the privilege without which the question makes no sense.
	Missing string `json:"missing,omitempty"`
	// Broken says why nothing is known: something that every kernel does did not happen.
	Broken string `json:"broken,omitempty"`
	Millis int64  `json:"millis"`
}

// String returns the answer, or why there is none.
func (a Answer) String() string {
	switch {
	case a.Missing != "":
		return "missing: " + a.Missing
	case a.Broken != "":
		return "broken: " + a.Broken
	}
	return a.Value
}

// Options says how [Run] goes about it. The zero value asks all probes, one after the other.
type Options struct {
	Probes   []Probe // nil is [All]
	Parallel int     // how many probes are asked at a time; 0 is one
	// Asked is called before a probe is asked, and Answered with each answer, so that a kernel
	// that dies takes no answer with it and is known to have died of the probes that were asked
	// and not answered. They are not called concurrently. nil is nothing.
	Asked    func(Probe)
	Answered func(Answer)
}

// limit ends a probe that neither the kernel nor its own waits ended. Each wait of a probe is
// shorter; it is for a system call that does not come back.
const limit = 20 * time.Second

// Run asks the probes and returns their answers in the order of the probes. When ctx ends,
// probes that were not asked yet have no answer.
func Run(ctx context.Context, o Options) []Answer {
	asked := o.Probes
	if asked == nil {
		asked = All()
	}
	answers := make([]Answer, len(asked))
	next := make(chan int)
	var tell sync.Mutex
	var askers sync.WaitGroup
	for range max(o.Parallel, 1) {
		askers.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				tell.Lock()
				if o.Asked != nil {
					o.Asked(asked[i])
				}
				tell.Unlock()
				answer := asked[i].answer(ctx)
				tell.Lock()
				answers[i] = answer
				if o.Answered != nil {
					o.Answered(answer)
				}
				tell.Unlock()
			}
		})
	}
	for i := range asked {
		next <- i
	}
	close(next)
	askers.Wait()
	return slices.DeleteFunc(answers, func(a Answer) bool { return a.ID == "" })
}

func (p Probe) answer(ctx context.Context) Answer {
	answer := Answer{ID: p.ID, Name: p.Name, Source: p.Source}
	begin := time.Now()
	err := inNamespace(ctx, limit, func(n *namespace) { answer.Value = p.ask(n) })
	answer.Millis = time.Since(begin).Milliseconds()
	if err == nil {
		return answer
	}
	answer.Value = ""
	if missing := (missingError{}); errors.As(err, &missing) {
		answer.Missing = missing.feature
	} else {
		answer.Broken = err.Error()
	}
	return answer
}

// missingError says that the kernel or the process lacks a feature.
type missingError struct {
	feature string
	err     error // what the kernel answered; may be nil
}

func (e missingError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("%s is missing", e.feature)
	}
	return fmt.Sprintf("%s is missing: %v", e.feature, e.err)
}

func (e missingError) Unwrap() error { return e.err }
