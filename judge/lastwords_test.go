// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHeadline(t *testing.T) {
	routine := map[string]bool{"GET / from N": true}
	for name, c := range map[string]struct{ wrote, want string }{
		"nothing": {"", ""},
		"routine": {"GET / from 10.0.0.2:4711\n", ""},
		"last":    {"ready\naccept: Too many open files\nGET / from 10.0.0.2:4712\n", "accept: Too many open files"},
		"go": {"ready\npanic: runtime error: index out of range [1]\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1d\nexit status 2\n",
			"panic: runtime error: index out of range [1]"},
		"go fatal": {"2026/01/02 03:04:05 accept: too many open files\n", "2026/01/02 03:04:05 accept: too many open files"},
		"node": {"node:events:491\n      throw er; // Unhandled 'error' event\n      ^\n\nError: read ECONNRESET\n    at TCP.onStreamRead (node:internal/x:217:20)\n" +
			"Emitted 'error' event on Socket instance at:\n    at emitErrorNT (node:internal/y:151:8) {\n  errno: -104\n}\n\nNode.js v20.1.0\n",
			"Error: read ECONNRESET"},
		"python": {"Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    s.accept()\nOSError: [Errno 24] Too many open files\n",
			"OSError: [Errno 24] Too many open files"},
		"python, two": {"Traceback (most recent call last):\n  File \"a.py\"\nBrokenPipeError: [Errno 32]\n\nDuring handling of the above exception, another exception occurred:\n\n" +
			"Traceback (most recent call last):\n  File \"a.py\"\nSystemExit: 3\n", "SystemExit: 3"},
		"java": {"Exception in thread \"main\" java.net.SocketException: Too many open files\n\tat java.base/a.b(C.java:3)\n\tat D.main(D.java)\n",
			`Exception in thread "main" java.net.SocketException: Too many open files`},
		"ruby": {"a.rb:3:in `accept': Too many open files - accept(2) (Errno::EMFILE)\n\tfrom a.rb:3:in `<main>'\n",
			"a.rb:3:in `accept': Too many open files - accept(2) (Errno::EMFILE)"},
		"rust": {"thread 'main' panicked at src/main.rs:7:40:\ncalled `Result::unwrap()` on an `Err` value: Os { code: 24 }\nnote: run with `RUST_BACKTRACE=1`\n",
			"thread 'main' panicked at src/main.rs:7:40: called `Result::unwrap()` on an `Err` value: Os { code: 24 }"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, headline(strings.Split(c.wrote, "\n"), routine))
		})
	}
}
