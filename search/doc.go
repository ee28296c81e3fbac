// Package search looks for what is wrong with a server where nobody has looked: it
// makes up random stories of what networks, machines and clients do, tells each in a
// lab of its own, and compares what clients get and what the kernel shows with
// what any right server would do.
//
// A [Schedule] is a story as a plain value: it says in which family and which
// [Action] comes after which. A seed makes it ([Budget.Make]), [Play] plays it, and one
// that fails is made as short as it can be ([Shrink]) and told as a [Story]: in
// words, as a Go test, as JSON, and as a seed.
//
// # What is expected
//
// After each action: somebody listens; no zombie lasts; the listener has no more
// descriptors than its clients explain; no connection is open in two places that are not
// parent and child; and every client gets what it is owed, each byte of it, once. A client that
// something was done to (its worker was killed, the server was started again, it came
// in a shortage) may be told instead that its connection is over, but must be
// told. A client behind a partition is owed it when the partition is healed. When all
// is over everything is back to where it was before the first client: processes,
// descriptors, sockets but those in TIME-WAIT; and a new client is served.
//
// # What is not done
//
// A reset that gets lost in a partition, and a client host that loses power, leave
// a connection of which the server cannot know; they are left out. Package checks has
// a check for it.
package search
