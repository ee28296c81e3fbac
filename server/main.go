// SPDX-License-Identifier: Apache-2.0

// Command server is forkrig's reference server: a TCP server that forks one
// worker per connection, written to be right where such servers usually go
// wrong, and able to be wrong on request (-defect) to prove that a check bites.
//
//	go run ./server                     # echo on 0.0.0.0:9999
//	go run ./server -service upper      # upper-casing on 127.0.0.1:6666
//	go run ./server -defects            # the ways in which it can be wrong
package main

import (
	"os"
	"runtime"

	"forkrig/server/forkserver"
)

// The main goroutine stays on the main thread, where the kernel delivers
// signals for the process first and where the server therefore accepts.
func init() { runtime.LockOSThread() }

func main() { os.Exit(forkserver.Main(os.Args)) }
