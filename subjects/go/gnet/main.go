// SPDX-License-Identifier: Apache-2.0

// Command gnet echoes, in event loops of its own.
package main

import (
	"log"
	"os"

	"github.com/panjf2000/gnet/v2"
)

type echo struct{ gnet.BuiltinEventEngine }

func (*echo) OnTraffic(c gnet.Conn) gnet.Action {
	bytes, err := c.Next(-1)
	if err != nil {
		return gnet.Close
	}
	if _, err := c.Write(bytes); err != nil {
		return gnet.Close
	}
	return gnet.None
}

func main() {
	log.Fatal(gnet.Run(&echo{}, "tcp://"+os.Args[1]))
}
