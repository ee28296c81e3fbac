// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// The kinds are servers of a few lines, as tutorials and bug reports have them.
func init() {
	for name, serve := range map[string]func(*net.TCPConn){
		// It is right: an echo that answers when a line has ended.
		"lines": func(conn *net.TCPConn) {
			_ = conn.SetKeepAlive(true) // cannot fail on an open TCP socket
			input := bufio.NewReader(conn)
			for {
				line, err := input.ReadString('\n')
				if err != nil {
					return
				}
				if _, err := io.WriteString(conn, line); err != nil {
					return
				}
			}
		},
		// It reads one line of the request, and closes with the rest unread.
		"unread-request": func(conn *net.TCPConn) {
			line := make([]byte, 1)
			for n, err := 1, error(nil); n > 0 && err == nil && line[0] != '\n'; n, err = conn.Read(line) {
			}
			_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nok\n") // an error means that the client has left
		},
	} {
		strangers[name] = func(args []string) int {
			return accepting(args, func(conn *net.TCPConn) bool { go func() { defer conn.Close(); serve(conn) }(); return true })
		}
	}
	// It serves one client and ends.
	strangers["one-shot"] = func(args []string) int {
		return accepting(args, func(conn *net.TCPConn) bool {
			_, _ = io.Copy(struct{ io.Writer }{conn}, conn) // an error means that the client has left
			return false
		})
	}
	// It starts a process for each client and waits for its end.
	strangers["waiting"] = func(args []string) int {
		return accepting(args, func(conn *net.TCPConn) bool {
			_ = conn.SetKeepAlive(true) // cannot fail on an open TCP socket
			file, err := conn.File()
			conn.Close()
			if err != nil {
				return true
			}
			worker := exec.Command("cat")
			worker.Stdin, worker.Stdout = file, file
			err = worker.Start()
			file.Close()
			if err == nil {
				_ = worker.Wait() // however it ends
			}
			return true
		})
	}
}

// accepting serves clients until serve says no.
func accepting(args []string, serve func(*net.TCPConn) bool) int {
	listener, err := net.Listen("tcp", args[2]) // after -listen
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		conn, err := listener.Accept()
		if err == nil && !serve(conn.(*net.TCPConn)) {
			return 0
		}
	}
}

// TestKinds judges them as the command does, with what the preliminary trial finds out.
func TestKinds(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		passes []string
		fails  string // one check
		says   string // what is observed then
		cause  string
	}{
		"lines":          {passes: []string{"bytes-exact", "slow-reader"}},
		"unread-request": {passes: []string{"backlog-burst", "reset-survived"}, fails: "clean-close", says: "an answer comes, and then a reset"},
		"one-shot":       {fails: "eintr-accept", says: "a client that left ends the listener", cause: "the server ends with status 0 when a client leaves"},
		"waiting": {passes: []string{"reuse-live-worker", "worker-killed"}, fails: "concurrent", says: "another one is connected and silent",
			cause: "the server serves no new client while another client is connected and silent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			selected, err := checks.Select(strings.Trim(strings.Join(append(story.passes[:len(story.passes):len(story.passes)], story.fails), ","), ","))
			require.NoError(t, err)
			subject := judge.Subject{Command: rig.Program(name, "-listen", "{ip}:{port}").Args}
			results, causes, err := judge.Trial{Subject: subject, Families: []rig.Family{rig.IPv4}, Checks: selected}.Run(t)
			require.NoError(t, err)
			for _, result := range results {
				if result.Name != story.fails {
					assert.Equal(t, scorecard.Pass, result.Verdict, "%+v", result)
					continue
				}
				assert.Equal(t, scorecard.Fail, result.Verdict, "%+v", result)
				assert.Contains(t, result.Observed, story.says)
			}
			if story.cause == "" {
				assert.Empty(t, causes)
			} else if assert.Len(t, causes, 1, "%v", causes) {
				assert.Equal(t, story.cause, causes[0].Text)
			}
		})
	}
}
