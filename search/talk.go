package search

import (
	"errors"
	"fmt"
	"strings"

	"forkrig/judge"
	"forkrig/rig"
)

// talk is a connection of a client, and what the client is owed.
type talk struct {
	judge.Link
	number int
	client int // from 1
	count  int // messages so far

	owed   []byte // what is still to come
	half   bool   // the sending side is closed, so that the end of the stream is owed, too
	served bool   // an answer has come
	ended  bool

	// excused says why the connection may end at any time, "" where it may not.
	excused string
	// drains is the server that was stopped and has to wait for the connection's
	// worker, or nil.
	drains *rig.ProcessInfo
}

func (k *talk) String() string { return fmt.Sprintf("connection %d", k.number) }

// message returns the n-th message of a connection, in which no line is like
// another one of any connection, and the answer.
func message(service judge.Service, conn, n, size int) (said, answer []byte) {
	text := string(rune('a' + (7*conn+n)%26))
	if size > 1 || service == judge.Upper {
		var b strings.Builder
		for line := 1; b.Len() < size; line++ {
			fmt.Fprintf(&b, "connection %d message %d line %d\n", conn, n, line)
		}
		text = b.String()[:size-1] + "\n"
	}
	if service == judge.Upper {
		return []byte(text), []byte(strings.ToUpper(text))
	}
	return []byte(text), []byte(text)
}

// tell sends a message and lets it be answered. The answer is owed from then on.
func (p *player) tell(k *talk, size int) error {
	said, answer := message(p.subject.Service, k.number, k.count, size)
	k.count++
	if size <= smallest {
		k.owed = append(k.owed, answer...)
		return k.Say(said)
	}
	// The subject may stop reading until its answer is read.
	sent := make(chan error, 1)
	go func() { sent <- k.Say(said) }()
	k.owed = append(k.owed, answer...)
	return p.meanwhile(k, sent)
}

// meanwhile reads what is owed while a message is being sent. What is wrong with the
// answer counts; the sending fails after that, too.
func (p *player) meanwhile(k *talk, sent <-chan error) error {
	err := p.collect(k)
	ended := k.ended
	if err != nil {
		k.Close() // lets go of what is still being sent
	}
	if sendErr := <-sent; err == nil && !ended {
		err = sendErr
	}
	return err
}

// smallest is a message that every socket's buffers hold.
const smallest = 5000

// whisper sends a message, or the part of it that the kernel takes, to a subject
// that cannot answer now.
func (p *player) whisper(k *talk, size int) error {
	said, answer := message(p.subject.Service, k.number, k.count, min(size, smallest))
	n, err := k.SayNow(said)
	if n > 0 {
		k.count++
	}
	k.owed = append(k.owed, answer[:n]...)
	return err
}

// collect reads what is owed.
func (p *player) collect(k *talk) error {
	if k.excused != "" {
		return p.collectOrEnd(k)
	}
	if len(k.owed) > 0 {
		if err := k.Expect(k.owed); err != nil {
			return err
		}
		k.owed, k.served = nil, true
	}
	if k.half || p.subject.Closes == judge.Server && k.served {
		if err := k.End(); err != nil {
			return err
		}
		p.over(k)
	}
	return nil
}

// collectOrEnd reads what is owed, or until the connection ends. A client whose end
// of the connection nobody told it, because the reset was lost in a partition,
// would learn of it when it sends again.
func (p *player) collectOrEnd(k *talk) error {
	_, err := p.Until("an answer, or the end of "+k.String(), func() (bool, string, error) {
		_, there, err := k.Server()
		if err != nil {
			return false, "", err
		}
		done, err := p.take(k)
		if err == nil && !done && !there {
			p.over(k)
			return true, "", nil
		}
		return done, fmt.Sprintf("%d bytes are owed", len(k.owed)), err
	})
	return err
}

// take reads what has come and says whether nothing is owed any more.
func (p *player) take(k *talk) (done bool, err error) {
	buffer := make([]byte, 64<<10)
	for {
		if k.ended || len(k.owed) == 0 && !k.half {
			return true, nil
		}
		n, err := k.TakeNow(buffer)
		switch {
		case err != nil: // the end of the stream, or a reset
			p.over(k)
			return true, nil
		case n == 0:
			return false, nil
		case n > len(k.owed) || string(buffer[:n]) != string(k.owed[:n]):
			return false, wrong(k, buffer[:n])
		}
		k.owed, k.served = k.owed[n:], true
	}
}

// errWrong is wrapped where bytes came that are not owed.
var errWrong = errors.New("wrong bytes")

func wrong(k *talk, got []byte) error {
	const most = 40
	owed := k.owed
	if len(owed) == 0 {
		return fmt.Errorf("%w: %q comes where nothing is owed", errWrong, got[:min(len(got), most)])
	}
	i := 0
	for i < min(len(got), len(owed)) && got[i] == owed[i] {
		i++
	}
	return fmt.Errorf("%w: %q comes instead of %q", errWrong, got[i:min(len(got), i+most)], owed[i:min(len(owed), i+most)])
}

// over notes that the connection is at its end, and closes it.
func (p *player) over(k *talk) {
	k.ended, k.owed = true, nil
	k.Close()
}
