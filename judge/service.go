// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"slices"
	"strings"

	"forkrig/dialogue"
)

// AnswersAnything says whether it is known what the service answers to any text, and not only
// what it answers to the rounds of its dialogue: echo and upper do.
func AnswersAnything(s dialogue.Service) bool { return s.Name == "echo" || s.Name == "upper" }

// AnswersLines says whether the subject answers a line when it has all of it. A server that
// sends back lines is an echo, too.
func (c *Case) AnswersLines() bool { return c.Service.Name == "upper" || c.Subject.lines }

// waitsForLines says whether an echo answers nothing until a line has ended.
func (c *Case) waitsForLines() bool {
	if c.Service.Name != "echo" || c.Service.Lacks(dialogue.Repeats) != "" {
		return false
	}
	k, err := c.Dial(0)
	if err != nil {
		return false // a check says so
	}
	defer c.leaveInOrder(k)
	const part = "part of a line"
	if k.Send([]byte(part)) != nil {
		return false
	}
	c.probing = true
	_, err = c.Until("an answer to a part of a line", func() (bool, string, error) {
		n, err := k.ReadNow(make([]byte, len(part)))
		return n > 0, "", err
	})
	c.probing = false
	if !Hopeless(err) {
		return false // it has answered, or has ended the connection
	}
	return k.Send([]byte("\n")) == nil && k.Expect([]byte(part+"\n")) == nil
}

// Answer returns what a service that [AnswersAnything] answers to a text.
func (c *Case) Answer(to string) string {
	if c.Service.Name == "upper" {
		return strings.ToUpper(to)
	}
	return to
}

// HasTimeouts says whether servers of this kind end silent connections by timeouts of their
// own protocol, so that they can do without keep-alive.
func HasTimeouts(s dialogue.Service) bool {
	return slices.Contains([]string{"http", "http-keepalive", "smtp", "ftp", "pop3", "imap", "ssh"}, s.Name)
}

// wrongAnswer says whether the error of a conversation is that other bytes came than had to.
func wrongAnswer(err error) bool {
	var reply *dialogue.ReplyError
	return errors.Is(err, ErrWrongBytes) ||
		errors.As(err, &reply) && (reply.Reason == dialogue.Different || reply.Reason == dialogue.TooLong)
}
