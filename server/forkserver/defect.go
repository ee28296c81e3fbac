// SPDX-License-Identifier: Apache-2.0

package forkserver

import "errors"

// Defect is a way in which the server can be told to be wrong, to prove that a
// check bites. The zero value is no defect. Each defect is one condition in
// one place of the server; its name there leads to it.
type Defect uint8

// The defects. NoDefect is a correct server.
const (
	NoDefect Defect = iota

	NoReap
	SingleWait
	LateReap
	BlockingWait
	LeakOneIn64
	ExitOnKilledWorker
	SpinOnKilledWorker

	ExitOnEINTR
	WorkerExitOnEINTR
	HandlerLocks
	HandlerChangesErrno

	NoReuseAddr
	ZeroReuseAddr
	ReusePort
	SmallBacklog
	NoKeepAlive

	ParentKeepsConn
	WorkerKeepsListener
	LeakConnOnForkFailure

	ExitOnForkFailure
	ExitOnAcceptError
	ExitOnENFILE
	DeafAfterEMFILE
	SpinOnEMFILE
	NoSIGPIPE
	Serial

	StaleReply
	ShortWrite
	DropFirstByte
	WorkerIgnoresReset
	CloseWithUnreadInput
	LingerZero
	DropOnHalfClose

	IgnoreSIGTERM
	OrphansOnTerm

	ReloadReopens
	ReloadDropsClients
	ReloadLeaksDescriptor

	DiesOfLog
	BlocksOnLog

	// What follows is proved by scenarios.

	AbortsOnENOMEM
	ExitOnFullBacklog
	ClockFromBoot

	// What follows shows only where several things come together.

	CountKilled
	NoReapAfterShortage
	LeakGoneAfterShortage
	EndBeatsReply
	DrainForOne

	defectCount
)

var defectTable = [defectCount]struct{ name, meaning string }{
	NoDefect: {"", "the server is correct"},

	NoReap:       {"no-reap", "workers are never waited for and stay zombies"},
	SingleWait:   {"single-wait", "one worker is waited for per SIGCHLD, however many have ended"},
	BlockingWait: {"blocking-wait", "once a worker has ended, no client is accepted until all have"},
	LateReap:     {"late-reap", "workers are waited for only when the next connection comes"},
	LeakOneIn64:  {"leak-one-in-64", "every 64th worker is never waited for"},

	ExitOnKilledWorker: {"exit-on-killed-worker", "a worker that a signal ended ends the server"},
	SpinOnKilledWorker: {"spin-on-killed-worker", "once a signal has ended a worker, the next end is waited for in a busy loop"},

	ExitOnEINTR:         {"exit-on-eintr", "an interrupted accept ends the server"},
	HandlerLocks:        {"handler-locks", "a signal while a connection is logged stops the server for ever, as a handler does that takes the lock of the log"},
	HandlerChangesErrno: {"handler-changes-errno", "an interrupted accept ends the server where no worker is left, as a handler does whose waitpid sets ECHILD"},

	WorkerExitOnEINTR: {"worker-exit-on-eintr", "an interrupted read or send ends the worker"},

	NoReuseAddr:   {"no-reuseaddr", "SO_REUSEADDR is not set on the listener"},
	ZeroReuseAddr: {"zero-reuseaddr", "SO_REUSEADDR is set on the listener, to 0"},
	ReusePort:     {"reuseport", "SO_REUSEPORT is set too, so that two servers can have one port"},
	SmallBacklog:  {"small-backlog", "the backlog is 1, whatever -backlog says"},
	NoKeepAlive:   {"no-keepalive", "SO_KEEPALIVE is not set: the worker of a vanished client stays"},

	ParentKeepsConn:       {"parent-keeps-conn", "the server keeps its copy of each connection"},
	WorkerKeepsListener:   {"worker-keeps-listener", "workers keep a copy of the listener"},
	LeakConnOnForkFailure: {"leak-conn-on-fork-failure", "a connection that gets no worker stays open"},

	ExitOnForkFailure: {"exit-on-fork-failure", "a failed fork ends the server"},
	ExitOnAcceptError: {"exit-on-accept-error", "any error of accept but EINTR ends the server"},
	ExitOnENFILE:      {"exit-on-enfile", "ENFILE from accept ends the server"},
	DeafAfterEMFILE:   {"deaf-after-emfile", "once accept failed with EMFILE, it is not called again"},
	SpinOnEMFILE:      {"spin-on-emfile", "short of descriptors or memory, accept is called again at once, for ever"},
	NoSIGPIPE:         {"no-sigpipe", "SIGPIPE has its default action, and the server itself sends to each client"},
	Serial:            {"serial", "there are no workers, the server serves one client after the other"},

	StaleReply:         {"stale-reply", "bytes of an earlier, longer message follow the reply"},
	ShortWrite:         {"short-write", "what an interrupted send did not send is lost"},
	DropFirstByte:      {"drop-first-byte", "the first byte of each reply is lost"},
	WorkerIgnoresReset: {"worker-ignores-reset", "after a reset the worker reads on for ever"},

	CloseWithUnreadInput: {"close-with-unread-input", "with -once a worker reads 32 bytes, answers, and closes with the rest unread"},
	LingerZero:           {"linger-zero", "SO_LINGER is set to 0, so that close sends a reset"},
	DropOnHalfClose:      {"drop-on-half-close", "once the client has closed its sending side it gets no answer"},

	IgnoreSIGTERM: {"ignore-sigterm", "SIGTERM and SIGINT change nothing"},
	OrphansOnTerm: {"orphans-on-term", "on SIGTERM the server ends at once and leaves its workers behind"},

	ReloadReopens:         {"reload-reopens", "on SIGHUP the listening socket is closed, and opened again 20 ms later"},
	ReloadDropsClients:    {"reload-drops-clients", "on SIGHUP the workers are killed"},
	ReloadLeaksDescriptor: {"reload-leaks-descriptor", "each SIGHUP leaves a descriptor open"},

	DiesOfLog:   {"dies-of-log", "a log that cannot be written ends the server: SIGPIPE and SIGXFSZ have their default action"},
	BlocksOnLog: {"blocks-on-log", "a log that is not read stops the server, SIGTERM included"},

	AbortsOnENOMEM:    {"aborts-on-enomem", "each connection needs 32 MiB for a moment, and the server ends where it does not get them"},
	ExitOnFullBacklog: {"exit-on-full-backlog", "a backlog that is full ends the server"},
	ClockFromBoot:     {"clock-from-boot", "a time since boot earlier than the one in the file $STATE_FILE, from the last start, ends the server"},

	CountKilled:           {"count-killed", "a worker that a signal killed counts against -max-workers for ever"},
	NoReapAfterShortage:   {"no-reap-after-shortage", "once accept was short of descriptors, workers are never waited for again"},
	LeakGoneAfterShortage: {"leak-gone-after-shortage", "a connection that was reset while accept was short of descriptors stays open"},
	EndBeatsReply:         {"end-beats-reply", "a worker waits 20 ms for more input, and if the client ends its side meanwhile the reply is lost"},
	DrainForOne:           {"drain-for-one", "after SIGTERM the server waits for one worker and kills the others"},
}

// Defects returns every defect, NoDefect excepted.
func Defects() []Defect {
	var all []Defect
	for d := NoDefect + 1; d < defectCount; d++ {
		all = append(all, d)
	}
	return all
}

// String returns the defect's name as -defect takes it, "" for NoDefect.
func (d Defect) String() string { return defectTable[d].name }

// Meaning says in a line what is wrong with a server that has the defect.
func (d Defect) Meaning() string { return defectTable[d].meaning }

// MarshalText implements [encoding.TextMarshaler], for package flag.
func (d Defect) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Defect) UnmarshalText(text []byte) error {
	for _, known := range Defects() {
		if known.String() == string(text) {
			*d = known
			return nil
		}
	}
	return errors.New("no such defect; -defects lists them")
}
