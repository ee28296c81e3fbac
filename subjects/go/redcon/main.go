// SPDX-License-Identifier: Apache-2.0

// Command redcon answers ECHO, PING and QUIT in the protocol of Redis.
package main

import (
	"log"
	"os"
	"strings"

	"github.com/tidwall/redcon"
)

func main() {
	log.Fatal(redcon.ListenAndServe(os.Args[1], answer, nil, nil))
}

func answer(c redcon.Conn, cmd redcon.Command) {
	switch name := strings.ToLower(string(cmd.Args[0])); {
	case name == "echo" && len(cmd.Args) == 2:
		c.WriteBulk(cmd.Args[1])
	case name == "ping":
		c.WriteString("PONG")
	case name == "quit":
		c.WriteString("OK")
		c.Close()
	default:
		c.WriteError("ERR unknown command")
	}
}
