// SPDX-License-Identifier: Apache-2.0

// Package search looks for defects of a server that no check was written for. It
// makes random stories of what networks, machines and clients do, plays each in a
// lab of its own, and compares what clients receive and what the kernel shows with
// what every correct server does.
//
// A [Schedule] is such a story as a plain value: the family, and one [Action] after the
// other. A seed makes it. [Search.Run] plays many; a schedule at which the subject
// fails is made as short as possible and becomes a [Story], which [Replay] plays
// again: in words, as a Go test, as JSON, and as a seed.
//
// # What is expected
//
// After each action: the server listens; no zombie outlasts storms and shortages; the
// listener has no more descriptors than its clients explain; no connection is open in
// two processes that are not parent and child; and each client receives its answers,
// each byte once. If a fault affects a client (its worker was killed, the server was
// started again, it connected during a shortage), its connection may end instead, but
// must not stall. An unplugged client receives its answers when it is plugged in
// again. At the end everything is as before the first client: processes, descriptors,
// and sockets except those in TIME-WAIT; and a new client is served.
//
// # What is not checked
//
// A reset that an unplugged client sends, and a client host that loses power, leave
// a connection of which the server cannot know. They are left out; package checks has
// a check for the latter.
package search
