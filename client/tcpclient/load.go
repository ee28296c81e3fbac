// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Gathered announces, in one line of JSON on standard output, that all connections of a
// load with -hold have conversed, or failed.
type Gathered struct {
	Event       string `json:"event"`       // always "holding"
	Connections int    `json:"connections"` // open and held
	Failed      int    `json:"failed"`      // ended before
}

// A load is many conversations, a limited number of them at the same time.
type load struct {
	cfg    config
	report tally

	awaited  sync.WaitGroup // connections that are neither held nor have failed yet
	present  atomic.Int64   // connections that were held
	released chan struct{}  // closed when held connections may leave
}

func runLoad(cfg config, std streams) error {
	l := &load{cfg: cfg, released: make(chan struct{})}
	started := time.Now()
	done := make(chan struct{})
	l.awaited.Add(cfg.connections)
	go func() {
		defer close(done)
		l.converse()
	}()
	if cfg.hold {
		inputEnded := make(chan struct{})
		go func() {
			defer close(inputEnded)
			// Whatever ends the input, it has ended.
			_, _ = io.Copy(io.Discard, std.in)
		}()
		l.awaited.Wait()
		held := int(l.present.Load())
		if err := writeLine(std.out, Gathered{Event: "holding", Connections: held, Failed: cfg.connections - held}); err != nil {
			return err
		}
		select {
		case <-inputEnded:
		case <-done: // none is held any more
		}
		close(l.released)
	}
	<-done

	report := l.report.summary(cfg, time.Since(started))
	if !cfg.json {
		report.print(std.out)
	} else if err := writeLine(std.out, report); err != nil {
		return err
	}
	return report.Err()
}

// converse returns when all connections have ended.
func (l *load) converse() {
	var next atomic.Int64
	var places sync.WaitGroup
	for range min(l.cfg.parallel, l.cfg.connections) {
		places.Go(func() {
			scratch := newScratch(l.cfg.size)
			for {
				number := int(next.Add(1)) - 1
				if number >= l.cfg.connections {
					return
				}
				c := &conversation{load: l, number: number, scratch: scratch}
				err := c.run()
				l.report.add(func(r *Report) { r.count(err) })
				if !c.held {
					l.awaited.Done()
				}
			}
		})
	}
	places.Wait()
}

// writeLine writes a value as a line of JSON, in one piece.
func writeLine(w io.Writer, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
