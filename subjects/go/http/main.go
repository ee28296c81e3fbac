// SPDX-License-Identifier: Apache-2.0

// Command http is net/http with a log line for each request, as many services have it. With a second
// argument it ignores SIGPIPE: otherwise the end of the reader of its log is its own, because Go's runtime
// ends a program whose write to descriptor 1 or 2 fails with EPIPE.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 2 {
		signal.Ignore(syscall.SIGPIPE)
	}
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Print(r.RemoteAddr, " ", r.Method, " ", r.URL.Path)
		fmt.Fprintln(w, "ok")
	})))
}
