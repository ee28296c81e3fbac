// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"forkrig/recorder"
	"forkrig/scorecard"
)

// A lab makes recordings as a recorder would: of a server that forks for each connection, with
// its clients on hosts of their own. It has a clock that only goes forward.
type lab struct {
	recorder.Recording
	now    time.Duration
	random *rand.Rand
	ports  int
	pids   int
}

func newLab(name string, clients int) *lab {
	l := &lab{random: rand.New(rand.NewPCG(7, 7)), ports: 40000, pids: 6}
	l.Recording = recorder.Recording{
		Schema: recorder.Schema, Name: name, Kernel: "6.12.0", Seed: 1234567890123456789,
		Began: time.Date(2026, 11, 29, 13, 0, 0, 0, time.UTC),
	}
	server := recorder.Host{Name: "server"}
	for i := 1; i <= clients; i++ {
		client := fmt.Sprintf("client%d", i)
		server.Interfaces = append(server.Interfaces, recorder.Interface{
			Name: fmt.Sprintf("eth%d", i-1), Addresses: []string{fmt.Sprintf("10.0.%d.1/30", i), fmt.Sprintf("fd00:%d::1/64", i)}, Peer: client})
		l.Hosts = append(l.Hosts, recorder.Host{Name: client, Interfaces: []recorder.Interface{{
			Name: "eth0", Addresses: []string{fmt.Sprintf("10.0.%d.2/30", i), fmt.Sprintf("fd00:%d::2/64", i)}, Peer: "server"}}})
	}
	l.Hosts = append(l.Hosts, server)
	return l
}

// pass lets up to twice the time go by, and returns what the time is then.
func (l *lab) pass(d time.Duration) time.Duration {
	l.now += d/2 + time.Duration(l.random.Int64N(int64(d)))
	return l.now
}

func (l *lab) event(e recorder.Event) int {
	e.ID = len(l.Events) + 1
	if e.At == 0 {
		e.At = l.now
	}
	l.Events = append(l.Events, e)
	return e.ID
}

// start begins a process, one that its parent forks where there is a parent.
func (l *lab) start(host, name, command string, parent int) int {
	l.pass(300 * time.Microsecond)
	l.pids++
	p := recorder.Process{ID: len(l.Processes) + 1, Parent: parent, Host: host, Name: name, PID: l.pids, Command: command,
		Began: l.now, States: []recorder.State{{At: l.now, Name: "runs"}}}
	l.Processes = append(l.Processes, p)
	text := fmt.Sprintf("%s[%d] starts: %s", name, p.PID, command)
	if parent != 0 {
		text = fmt.Sprintf("%s[%d] forks worker %d", l.Processes[parent-1].Name, l.Processes[parent-1].PID, p.PID)
	}
	l.event(recorder.Event{Kind: recorder.Start, Host: host, Process: p.ID, Text: text})
	return p.ID
}

// end ends a process; it is a zombie for so long, and for ever where that is negative.
func (l *lab) end(process int, how string, zombie time.Duration) {
	p := &l.Processes[process-1]
	p.Exit = how
	l.event(recorder.Event{Kind: recorder.Exit, Host: p.Host, Process: p.ID, Text: fmt.Sprintf("%s[%d] ends: %s", p.Name, p.PID, how)})
	if zombie == 0 {
		p.Ended = l.now
		return
	}
	p.States = append(p.States, recorder.State{At: l.now, Name: "zombie"})
	if zombie > 0 {
		p.Ended = l.now + zombie
		l.event(recorder.Event{At: p.Ended, Kind: recorder.Exit, Host: p.Host, Process: p.ID, Text: fmt.Sprintf("%s[%d] is reaped", p.Name, p.PID)})
	}
}

func (l *lab) say(process int, text string) int {
	l.pass(40 * time.Microsecond)
	return l.event(recorder.Event{Kind: recorder.Output, Host: l.Processes[process-1].Host, Process: process, Text: text})
}

func (l *lab) act(kind recorder.Kind, host string, process int, text string) int {
	l.pass(20 * time.Microsecond)
	return l.event(recorder.Event{Kind: kind, Host: host, Process: process, Text: text})
}

// span begins a fault, a storm or a wait; the function that it returns ends it.
func (l *lab) span(kind recorder.Kind, host, name string) func(failed string) int {
	id := len(l.Spans) + 1
	l.Spans = append(l.Spans, recorder.Span{ID: id, Kind: kind, Hosts: []string{host}, Name: name, Began: l.now})
	if kind != recorder.Wait {
		l.event(recorder.Event{Kind: kind, Host: host, Span: id, Text: name + " begins"})
	}
	return func(failed string) int {
		span := &l.Spans[id-1]
		span.Ended, span.Error = l.now, failed
		text := name + " ends"
		if kind == recorder.Fault {
			text = name + " is healed"
		}
		if failed != "" {
			text = name + ": " + failed
		}
		return l.event(recorder.Event{Kind: kind, Host: host, Span: id, Text: text})
	}
}

// A dial is a connection of the lab while it is made.
type dial struct {
	l            *lab
	id           int
	client       string
	seq, ack     uint32
	took         time.Duration
	clientWindow int
}

func (l *lab) listen(address string) int {
	id := len(l.Connections) + 1
	l.Connections = append(l.Connections, recorder.Connection{ID: id, Began: l.now,
		Server: recorder.Endpoint{Host: "server", Address: address, States: []recorder.State{{At: l.now, Name: "LISTEN"}}}})
	l.event(recorder.Event{Kind: recorder.Socket, Host: "server", Connection: id, Text: address + " LISTEN"})
	return id
}

func (l *lab) unlisten(id int) {
	c := &l.Connections[id-1]
	c.Server.States = append(c.Server.States, recorder.State{At: l.now, Name: "gone"})
	c.Ended = l.now
	l.event(recorder.Event{Kind: recorder.Socket, Host: "server", Connection: id, Text: c.Server.Address + " LISTEN → gone"})
}

// connect makes a connection from the client with that number.
func (l *lab) connect(client int) *dial {
	l.pass(150 * time.Microsecond)
	l.ports++
	d := &dial{l: l, id: len(l.Connections) + 1, client: fmt.Sprintf("client%d", client), took: 28 * time.Microsecond}
	l.Connections = append(l.Connections, recorder.Connection{ID: d.id, Began: l.now,
		Client: recorder.Endpoint{Host: d.client, Address: fmt.Sprintf("10.0.%d.2:%d", client, l.ports)},
		Server: recorder.Endpoint{Host: "server", Address: fmt.Sprintf("10.0.%d.1:9999", client)}})
	d.state("client", "SYN_SENT")
	d.packet("client", "SYN", 0, "")
	d.packet("server", "SYN ACK", 0, "")
	d.state("client", "ESTABLISHED")
	d.packet("client", "ACK", 0, "")
	d.state("server", "ESTABLISHED")
	return d
}

func (d *dial) state(side, name string) {
	c := &d.l.Connections[d.id-1]
	end := &c.Client
	if side == "server" {
		end = &c.Server
	}
	before := "new"
	if n := len(end.States); n > 0 {
		before = end.States[n-1].Name
	}
	end.States = append(end.States, recorder.State{At: d.l.now, Name: name})
	d.l.event(recorder.Event{Kind: recorder.Socket, Host: end.Host, Connection: d.id, Text: fmt.Sprintf("%s %s → %s", end.Address, before, name)})
}

// packet sends a segment and lets it arrive.
func (d *dial) packet(from, flags string, bytes int, first string, marks ...string) int {
	l := d.l
	l.pass(12 * time.Microsecond)
	c := l.Connections[d.id-1]
	sender, receiver := c.Client, c.Server
	if from == "server" {
		sender, receiver = receiver, sender
	}
	p := &recorder.Packet{From: sender.Host, To: receiver.Host, Took: d.took/2 + time.Duration(l.random.Int64N(int64(d.took))),
		Flags: flags, Seq: d.seq, Ack: d.ack, Window: 65535 - d.clientWindow, Bytes: bytes, First: first, Marks: marks}
	if slices.Contains(marks, "lost") {
		p.Took = -1
	}
	if from == "server" {
		p.Seq, p.Ack = d.ack, d.seq
	}
	text := fmt.Sprintf("%s > %s: %s", sender.Address, receiver.Address, flags)
	if bytes > 0 {
		text += fmt.Sprintf(", %d bytes: %s", bytes, first)
	}
	id := l.event(recorder.Event{Kind: recorder.Segment, Host: sender.Host, Connection: d.id, Text: text, Packet: p})
	l.now += max(p.Took, 0)
	return id
}

// converse says a line and hears it again.
func (d *dial) converse(text string) {
	d.packet("client", "PSH ACK", len(text), text)
	d.l.pass(60 * time.Microsecond)
	d.packet("server", "PSH ACK", len(text), text)
	d.packet("client", "ACK", 0, "")
}

// leave closes both sides, that one first: it gets the TIME_WAIT.
func (d *dial) leave(first string) {
	second := map[string]string{"client": "server", "server": "client"}[first]
	d.state(first, "FIN_WAIT1")
	d.packet(first, "FIN ACK", 0, "")
	d.state(second, "CLOSE_WAIT")
	d.packet(second, "ACK", 0, "")
	d.state(first, "FIN_WAIT2")
	d.l.pass(90 * time.Microsecond)
	d.state(second, "LAST_ACK")
	d.packet(second, "FIN ACK", 0, "")
	d.state(first, "TIME_WAIT")
	d.packet(first, "ACK", 0, "")
	d.state(second, "gone")
}

// reset ends the connection by a RST from the client.
func (d *dial) reset() {
	d.packet("client", "RST", 0, "", "reset")
	d.state("client", "gone")
	d.state("server", "gone")
	d.l.Connections[d.id-1].Ended = d.l.now
}

// done returns the recording, with its events in order and IDs that follow it.
func (l *lab) done() recorder.Recording {
	l.pass(40 * time.Millisecond)
	r := l.Recording
	for _, e := range r.Events {
		l.now = max(l.now, e.At)
	}
	r.Length = l.now
	slices.SortStableFunc(r.Events, func(a, b recorder.Event) int { return cmp.Compare(a.At, b.At) })
	focus := 0
	for i := range r.Events {
		if r.Events[i].ID == r.Focus {
			focus = i + 1
		}
	}
	for i := range r.Events {
		r.Events[i].ID = i + 1
	}
	r.Focus = focus
	return r
}

// restartInTimeWait is a server that is started again without SO_REUSEADDR.
func restartInTimeWait() recorder.Recording {
	l := newLab("reuse-time-wait IPv4", 3)
	l.pass(3 * time.Millisecond)
	const command = "./server -host 10.0.1.1 -port 9999"
	server := l.start("server", "server", command, 0)
	listener := l.listen("0.0.0.0:9999")
	ready := l.span(recorder.Wait, "server", "the subject listens on port 9999")
	l.say(server, "listening on 0.0.0.0:9999")
	l.pass(600 * time.Microsecond)
	ready("")
	for client := 1; client <= 3; client++ {
		l.pass(8 * time.Millisecond)
		prober := l.start(fmt.Sprintf("client%d", client), "client", fmt.Sprintf("client 10.0.%d.1:9999", client), 0)
		d := l.connect(client)
		worker := l.start("server", "server", "", server)
		l.say(worker, fmt.Sprintf("connection from 10.0.%d.2", client))
		d.converse("ping\\r\\n")
		if client == 2 {
			heal := l.span(recorder.Fault, "client2", "partition of client2 and server")
			d.packet("client", "PSH ACK", 6, "ping\\r\\n", "lost")
			l.pass(220 * time.Millisecond)
			d.packet("client", "PSH ACK", 6, "ping\\r\\n", "retransmission", "lost")
			l.pass(30 * time.Millisecond)
			heal("")
			l.pass(400 * time.Millisecond)
			d.packet("client", "PSH ACK", 6, "ping\\r\\n", "retransmission")
			d.packet("server", "PSH ACK", 6, "ping\\r\\n")
			d.packet("client", "ACK", 0, "")
		}
		if client == 3 {
			l.act(recorder.Signal, "server", server, "SIGCHLD to server[7]")
			l.act(recorder.Call, "server", server, "accept fails with EINTR")
			d.converse("once more\\r\\n")
		}
		d.leave("server")
		l.say(worker, "client has left")
		l.pass(100 * time.Microsecond)
		l.end(worker, "exit status 0", 240*time.Microsecond)
		l.pass(500 * time.Microsecond)
		l.end(prober, "exit status 0", 0)
	}
	l.pass(2 * time.Millisecond)
	l.act(recorder.Signal, "server", server, "SIGTERM to server[7]")
	l.say(server, "SIGTERM: closing the listener")
	l.unlisten(listener)
	l.pass(200 * time.Microsecond)
	l.end(server, "exit status 0", 0)
	l.pass(3 * time.Millisecond)
	l.act(recorder.Note, "server", 0, "3 connections of port 9999 are in TIME_WAIT")
	again := l.start("server", "server", command, 0)
	ready = l.span(recorder.Wait, "server", "the restarted subject listens on port 9999")
	l.pass(700 * time.Microsecond)
	l.act(recorder.Call, "server", again, "bind: EADDRINUSE")
	l.Focus = l.say(again, "bind 0.0.0.0:9999: Address already in use")
	l.pass(300 * time.Microsecond)
	l.end(again, "exit status 1", 0)
	l.pass(150 * time.Microsecond)
	ready("the process ended (exit status 1) without listening")
	l.pass(400 * time.Microsecond)
	l.act(recorder.Verdict, "", 0, "reuse-time-wait over IPv4: fail")
	l.Outcome = recorder.Outcome{
		Verdict:  "fail",
		Expected: "the restarted subject listens while its port has connections in TIME_WAIT",
		Observed: "the restarted subject does not listen while the port has 3 connections in TIME_WAIT: the process ended (exit status 1) without listening",
		Why:      "set SO_REUSEADDR to 1 on every listening socket before bind: otherwise bind fails with EADDRINUSE for up to 60 s",
		Words:    []string{"SIGTERM: closing the listener", "bind 0.0.0.0:9999: Address already in use"},
	}
	return l.done()
}

// unreaped is a server with n workers that are never waited for, under a storm of signals.
func unreaped(n int) recorder.Recording {
	l := newLab("reap IPv4", 3)
	server := l.start("server", "server", "./server", 0)
	l.listen("0.0.0.0:9999")
	l.pass(time.Millisecond)
	calm := l.span(recorder.Storm, "server", "SIGURG at 1000 per second")
	for i := range n {
		l.pass(700 * time.Microsecond)
		d := l.connect(i%3 + 1)
		worker := l.start("server", "server", "", server)
		d.converse(fmt.Sprintf("hello %d\\r\\n", i))
		switch {
		case i%5 == 4:
			d.reset()
			l.say(worker, "read: Connection reset by peer")
			l.end(worker, "killed by SIGPIPE", -1)
		case i%7 == 3:
			l.Processes[worker-1].States = append(l.Processes[worker-1].States, recorder.State{At: l.now, Name: "stopped"})
			l.act(recorder.Stop, "server", worker, "SIGSTOP: stopped")
			l.pass(2 * time.Millisecond)
			l.Processes[worker-1].States = append(l.Processes[worker-1].States, recorder.State{At: l.now, Name: "runs"})
			l.act(recorder.Stop, "server", worker, "SIGCONT: continued")
			fallthrough
		default:
			d.leave("client")
			l.end(worker, "exit status 0", -1)
		}
	}
	calm("")
	zombies := l.span(recorder.Wait, "server", "no zombie is left")
	l.pass(2 * time.Second)
	l.Focus = zombies(fmt.Sprintf("%d zombies last while their parent sleeps", n))
	l.act(recorder.Verdict, "", 0, "reap over IPv4: fail")
	l.Outcome = recorder.Outcome{Verdict: "fail", Expected: "every worker that ends is reaped",
		Observed: fmt.Sprintf("%d zombies last", n), Why: "call waitpid with WNOHANG in a loop when SIGCHLD comes"}
	return l.done()
}

// large is a recording with so many events.
func large(events int) recorder.Recording {
	l := newLab(fmt.Sprintf("many clients, %d events", events), 3)
	server := l.start("server", "server", "./server", 0)
	l.listen("0.0.0.0:9999")
	for i := 0; len(l.Events) < events; i++ {
		l.pass(time.Millisecond)
		d := l.connect(i%3 + 1)
		worker := l.start("server", "server", "", server)
		for range 12 {
			d.converse("GET / HTTP/1.1\\r\\n")
		}
		l.say(worker, fmt.Sprintf("served request %d", i))
		d.leave("client")
		l.end(worker, "exit status 0", 100*time.Microsecond)
	}
	r := l.done()
	r.Events = r.Events[:events]
	r.Focus = events / 2
	r.Outcome = recorder.Outcome{Verdict: "warn", Observed: "it is slow"}
	return r
}

// cardOf is a card that has the checks of the recordings, and some more.
func cardOf(kernel string, fails bool) scorecard.Card {
	result := func(name, family string, verdict scorecard.Verdict, observed string) scorecard.Result {
		return scorecard.Result{Name: name, Family: family, Verdict: verdict, Observed: observed, Duration: time.Second,
			Expected: "what docs/checks.md says", Evidence: []string{"processes of server:", "  1 server[7] S (sleeping)", "sockets of server:", "  LISTEN 0.0.0.0:9999"},
			Reproduce: "forkrig judge -checks " + name + " -- ./server"}
	}
	card := scorecard.Card{Subject: "./server -host {ip} -port {port}", Kernel: kernel, Seed: 7, Complete: true, Machine: "2 processors, amd64",
		Profile: scorecard.Profile{Service: scorecard.Service{Seen: "echo"}, Model: scorecard.ForkPerConnection, Processes: 1, Threads: 1, ClosesFirst: "server"}}
	reuse := result("reuse-time-wait", "IPv4", scorecard.Pass, "the restarted subject listens")
	if fails {
		reuse = result("reuse-time-wait", "IPv4", scorecard.Fail, restartInTimeWait().Outcome.Observed)
		reuse.Remedy, reuse.CauseID, reuse.Findings = restartInTimeWait().Outcome.Why, 1, []string{"EADDRINUSE"}
		end := scorecard.End{Kind: scorecard.Exited, Status: 1, Words: "bind 0.0.0.0:9999: Address already in use"}
		cause := scorecard.NewCause(end, scorecard.RestartTimeWait)
		cause.ID, cause.Checks, cause.Remedy = 1, []string{"reuse-time-wait"}, reuse.Remedy
		card.Causes = []scorecard.Cause{cause}
	}
	broken := result("backlog", "IPv4", scorecard.Broken, "")
	broken.Reason = "the accept queue did not become full within 60 s"
	warned := result("concurrent", "IPv6", scorecard.Warn, "one client at a time")
	warned.Remedy = "serve clients side by side"
	skipped := result("reload", "IPv4", scorecard.Skip, "")
	skipped.Reason = "it is not known how the subject is told to reload: see -reload"
	card.Checks = []scorecard.Result{
		result("reap", "IPv4", scorecard.Pass, "41 workers ended, all are reaped"), result("reap", "IPv6", scorecard.Pass, "41 workers ended, all are reaped"),
		reuse, result("reuse-time-wait", "IPv6", scorecard.Pass, "the restarted subject listens"), broken, warned, skipped,
	}
	return card
}

// evil are texts that must not do anything, and must be seen.
var evil = []string{
	"</script><script>window.pwned = 1</script>", "<img src=x onerror='window.pwned = 1'>", "--><!--<script>", "]]>", "{{.}}",
	"\x00\x07\x1b[31mred\x1b[0m\x7f\u0085", "\u202egnp.exe\u2066\u200f\ufeff", "\xff\xfe\xc0\xaf", "\xed\xa0\x80 a lone surrogate", "\u2028\u2029",
	"__proto__", "constructor", "toString", "&lt;b&gt; &amp;", `"'\`, "${window.pwned = 1}", "javascript:window.pwned=1",
	strings.Repeat("z\u0336\u0310\u0359", 60), strings.Repeat("long ", 200_000), "\U000e0041\ue000", "", " ", "\r\n\t",
}

// hostile is a recording with evil texts in all places, and with references and times that are wrong.
func hostile() recorder.Recording {
	r := restartInTimeWait()
	r.Name, r.Kernel = evil[0], evil[1]
	r.Outcome = recorder.Outcome{Verdict: evil[0], Expected: evil[1], Observed: evil[6], Why: evil[5], Words: evil}
	r.Dropped = []recorder.Dropped{{Kind: recorder.Kind(evil[1]), Count: 5}}
	for i, text := range evil {
		r.Hosts = append(r.Hosts, recorder.Host{Name: text, Interfaces: []recorder.Interface{{Name: text, Addresses: evil, Peer: text}}})
		n := 100 + i
		r.Processes = append(r.Processes, recorder.Process{ID: n, Parent: n, Host: text, Name: text, Command: text, Exit: text, Began: -5, Ended: 1 << 62, Descriptors: []recorder.Count{{At: 1 << 62, Count: 1 << 40}, {At: -5, Count: -5}},
			States: []recorder.State{{At: 1 << 40, Name: text}, {At: -3, Name: "zombie"}}})
		r.Connections = append(r.Connections, recorder.Connection{ID: n, Client: recorder.Endpoint{Host: text, Address: text, States: []recorder.State{{At: 9, Name: text}}},
			Server: recorder.Endpoint{Host: "server", Address: text}, Began: 10, Ended: 5})
		r.Spans = append(r.Spans, recorder.Span{ID: n, Kind: recorder.Fault, Hosts: []string{text}, Name: text, Error: text, Began: 10, Ended: 1})
		r.Events = append(r.Events,
			recorder.Event{ID: len(r.Events) + 1, At: time.Duration(i) * time.Millisecond, Kind: recorder.Kind(text), Host: text, Process: n, Connection: n, Span: n, Text: text},
			recorder.Event{ID: len(r.Events) + 2, At: -1, Kind: recorder.Segment, Host: text, Process: 999, Connection: 998, Span: 997, Text: text,
				Packet: &recorder.Packet{From: text, To: text, Took: -1, Flags: text, First: text, Marks: []string{text}}})
	}
	// Two processes that are each other's parent, and an event without its packet.
	r.Processes = append(r.Processes, recorder.Process{ID: 201, Parent: 202, Host: "server", Name: "a"}, recorder.Process{ID: 202, Parent: 201, Host: "server", Name: "b"})
	r.Events = append(r.Events, recorder.Event{ID: len(r.Events) + 1, At: 1 << 50, Kind: recorder.Segment, Connection: 2})
	r.Focus = len(r.Events)
	return r
}

// hostileCard is a card with evil texts.
func hostileCard() scorecard.Card {
	card := scorecard.Card{Subject: evil[0], Kernel: evil[1], EndedBy: evil[6]}
	for i, text := range evil {
		card.Causes = append(card.Causes, scorecard.Cause{ID: i + 1, Text: text, Remedy: text, Checks: []string{text}})
		card.Checks = append(card.Checks, scorecard.Result{Name: text, Family: text, Verdict: scorecard.Verdict(text), Expected: text, Observed: text,
			Findings: []string{text}, Remedy: text, Reason: text, Evidence: []string{text, "next"}, Reproduce: text})
	}
	return card
}
