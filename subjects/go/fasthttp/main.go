// SPDX-License-Identifier: Apache-2.0

// Command fasthttp answers each request with ok.
package main

import (
	"log"
	"net"
	"os"

	"github.com/valyala/fasthttp"
)

func main() {
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(fasthttp.Serve(l, func(c *fasthttp.RequestCtx) { c.WriteString("ok\n") }))
}
