// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"time"

	"forkrig/rig"
)

// NeverRead are clients that send without end and never read, so that a server
// that answers can send no more: its send buffer and the client's receive queue are
// full, and the worker of the client waits in send. It holds when the kernel shows
// each client's bytes unread and the server's kernel probing a window of zero.
// The fault does not hold at a server that does not answer. Healed, the clients read all
// that was answered.
type NeverRead struct{ Clients }

func (f *NeverRead) String() string { return f.describe("send and never read") }

// Break implements [Fault].
func (f *NeverRead) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	return f.misbehave(ctx, lab, "a server that can send no more", sendWithoutEnd,
		func(_ *client, mine, served rig.Socket) bool {
			return mine.RecvQueue > 0 && served.SendQueue > 0 && served.Timer == rig.TimerZeroWindowProbe
		})
}

// Overfeed are clients that send without end to a server that does not read, one
// that is stopped for example, so that its receive queue is full. They read
// what comes. It holds when the kernel shows the server's bytes unread and the
// client's kernel probing a window of zero. A server that reads may be so late with
// it that this is true for a moment.
type Overfeed struct{ Clients }

func (f *Overfeed) String() string { return f.describe("send more than the server reads") }

// Break implements [Fault].
func (f *Overfeed) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	return f.misbehave(ctx, lab, "a receive queue of the server that is full",
		func(ctx context.Context, k *client) error {
			return k.converse(func() error { return sendWithoutEnd(ctx, k) })
		},
		func(_ *client, mine, served rig.Socket) bool {
			return served.RecvQueue > 0 && mine.SendQueue > 0 && mine.Timer == rig.TimerZeroWindowProbe
		})
}

// sendWithoutEnd sends until the crowd is healed, and reads nothing.
func sendWithoutEnd(ctx context.Context, k *client) error {
	line := []byte("a client that sends the same line again and again, and never reads\n")
	for ctx.Err() == nil {
		if err := k.say(line); err != nil {
			return err
		}
	}
	return nil
}

// HalfClose are clients that send Message, close their sending side
// (shutdown(2) with SHUT_WR) and read what remains, until the server closes,
// too. It holds when the end has been sent.
type HalfClose struct {
	Clients
	Message []byte // nil means one line
}

func (f *HalfClose) String() string { return f.describe("close their sending side") }

// Break implements [Fault].
func (f *HalfClose) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	return f.misbehave(ctx, lab, "clients that have closed their sending side",
		func(_ context.Context, k *client) error {
			return k.converse(func() error {
				if err := k.say(message(f.Message)); err != nil {
					return err
				}
				if err := k.conn.CloseWrite(); err != nil {
					return plain(err)
				}
				k.hasSaidAll()
				return nil
			})
		},
		func(k *client, mine, _ rig.Socket) bool { return k.saidAll() && mine.State != rig.Established })
}

func message(given []byte) []byte {
	if given != nil {
		return given
	}
	return []byte("a client that misbehaves\n")
}

func (k *client) saidAll() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.said
}

// Urgent are clients that send Message, one byte of urgent data, an exclamation
// mark (MSG_OOB, tcp(7)), and Message again, and read what comes. A server that
// does not ask for it never reads the urgent byte, but a read of its own ends just
// before it. It holds when the server's kernel has acknowledged all of it.
type Urgent struct {
	Clients
	Message []byte // nil means one line
}

func (f *Urgent) String() string { return f.describe("send urgent data") }

// Break implements [Fault].
func (f *Urgent) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	return f.misbehave(ctx, lab, "urgent data acknowledged",
		func(_ context.Context, k *client) error {
			return k.converse(func() error {
				if err := k.say(message(f.Message)); err != nil {
					return err
				}
				if err := k.sayUrgently('!'); err != nil {
					return err
				}
				if err := k.say(message(f.Message)); err != nil {
					return err
				}
				k.hasSaidAll()
				return nil
			})
		},
		func(k *client, mine, _ rig.Socket) bool {
			return k.saidAll() && mine.State == rig.Established && mine.SendQueue == 0
		})
}

// Trickle are clients that send one byte at a time, Message again and again, and
// read what comes. It holds when the first byte of each is acknowledged.
type Trickle struct {
	Clients
	// Every is the time between two bytes; 0 means a second.
	Every   time.Duration
	Message []byte // nil means one line
}

func (f *Trickle) every() time.Duration {
	if f.Every <= 0 {
		return time.Second
	}
	return f.Every
}

func (f *Trickle) String() string {
	return f.describe("send one byte every " + f.every().String())
}

// Break implements [Fault].
func (f *Trickle) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	return f.misbehave(ctx, lab, "a first byte acknowledged",
		func(ctx context.Context, k *client) error {
			return k.converse(func() error { return f.trickle(ctx, k) })
		},
		func(k *client, mine, _ rig.Socket) bool {
			return k.seen().Sent > 0 && mine.State == rig.Established && mine.SendQueue == 0
		})
}

func (f *Trickle) trickle(ctx context.Context, k *client) error {
	text := message(f.Message)
	ticker := time.NewTicker(f.every())
	defer ticker.Stop()
	for i := 0; ; i++ {
		if err := k.say(text[i%len(text) : i%len(text)+1]); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
