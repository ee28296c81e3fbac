// SPDX-License-Identifier: Apache-2.0

// Package forkserver is forkrig's reference server as a function, so that a
// test binary can be the server too.
//
// The server accepts on one thread and gives each connection a process of its
// own, a worker: by a true fork, or by starting the same binary again
// (-worker exec). It needs Linux; elsewhere it builds and says so.
//
// # Events
//
// The server writes one JSON line per event to standard error. These are
// their names ("msg") and fields:
//
//	listening     address, pid, service, worker, backlog
//	accepted      peer, worker
//	reaped        worker, and status or signal
//	accept-error  errno, error
//	fork-failed   errno, error, peer
//	at-limit      workers
//	reloaded      signal
//	stopping      signal, workers
//	killed        workers
//	memory-shared error (debug; workers are right but slower to start)
//	log-lost      lines (earlier events that nobody read, or that could not be written)
//	failed        error
//	done          counts (see [Counts]); the last line, whatever -log-level says
//
// A log that nobody reads or that cannot be written, be it a full pipe, a closed one
// or a full disk, neither stops nor ends the server.
//
// # Exit status
//
//	0  stopped by one SIGTERM or SIGINT, even if the grace period ran out
//	1  could not listen, lost its listener, or was told twice to stop
//	2  the command line is wrong; one line on standard error says how to fix it
package forkserver

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// Main runs the server as the command line args says, args[0] being the
// program's name, and returns the exit status (see the package comment).
//
// The exec worker model runs /proc/self/exe again with args[0] as its first
// argument and workerArgument as its
// second, so a program that contains the server must call Main whenever it is
// started under that name.
//
// Call Main from the main goroutine, locked to the main thread by an init
// function: the kernel interrupts the main thread first, and workers die with
// the thread that forked them. On another thread the server is as correct,
// but sees fewer of its accepts interrupted.
func Main(args []string) int {
	name := filepath.Base(args[0])
	if len(args) > 1 && args[1] == workerArgument {
		return serveAsWorker(args)
	}
	cfg, err := parseConfig(args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		printUsage(os.Stdout, name)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 2
	case cfg.listDefects:
		for _, d := range Defects() {
			fmt.Printf("%-26s %s\n", d, d.Meaning())
		}
		return 0
	}

	cfg.args = args
	out := newOutput(os.Stderr, cfg.defect)
	log := out.logger(cfg.logLevel)
	counts, err := run(cfg, log)
	if err != nil {
		log.Error("failed", "error", err.Error())
	}
	out.done(counts)
	if err != nil {
		return 1
	}
	return 0
}

// workerArgument is the private first argument of a worker started by the exec model.
const workerArgument = "serve-one-connection"

// Counts is what the server counted while it ran. It is the field "counts" of
// the event "done", the last line that the server writes.
type Counts struct {
	Accepted     uint64 `json:"accepted"`     // connections accepted
	Interrupted  uint64 `json:"interrupted"`  // accept4 calls that ended with EINTR
	Reaped       uint64 `json:"reaped"`       // workers waited for, killed ones included
	ForkFailures uint64 `json:"forkFailures"` // connections closed because no worker could be started
	AcceptErrors uint64 `json:"acceptErrors"` // accept4 calls that ended with another error
	Killed       uint64 `json:"killed"`       // workers that the server killed because it had to end
}

// ParseCounts returns the counts in line, which must be the server's last line.
func ParseCounts(line []byte) (Counts, error) {
	var event struct {
		Msg    string
		Counts *Counts
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return Counts{}, fmt.Errorf("parse last line of the server: %w", err)
	}
	if event.Msg != "done" || event.Counts == nil {
		return Counts{}, fmt.Errorf("parse last line of the server: event %q is not done", event.Msg)
	}
	return *event.Counts, nil
}
