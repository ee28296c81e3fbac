// SPDX-License-Identifier: Apache-2.0

// Command http is net/http with a log line for each request, as many services have it.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Print(r.RemoteAddr, " ", r.Method, " ", r.URL.Path)
		fmt.Fprintln(w, "ok")
	})))
}
