// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package forkserver

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
)

var errNotLinux = fmt.Errorf("start the server: it needs Linux and this is %s; run it in a Linux container or virtual machine", runtime.GOOS)

func run(config, *slog.Logger) (Counts, error) { return Counts{}, errNotLinux }

func serveAsWorker([]string) int {
	fmt.Fprintln(os.Stderr, errNotLinux)
	return 1
}
