// SPDX-License-Identifier: Apache-2.0

// Command forkrig tells whether a server's socket behaviour is right.
//
//	go build -o bin/forkrig .
//	bin/forkrig judge -- socat TCP{family}-LISTEN:{port},bind={host},fork EXEC:cat
//
// This one binary plays four parts: the command, the first process of its sandbox, what
// runs inside the sandbox, and the helper programs (the reference server and client, the
// shim of package inject) that labs start.
package main

import (
	"os"

	"forkrig/client/tcpclient"
	"forkrig/internal/cli"
	"forkrig/internal/doctor"
	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/server/forkserver"
)

func main() {
	os.Exit(cli.Main(os.Args, rig.Programs{
		"server": forkserver.Main,
		"client": tcpclient.Main,
		"inject": inject.Shim,

		doctor.ProgramName: doctor.Program,
	}))
}
