// SPDX-License-Identifier: Apache-2.0

// Command forkrig tells whether a server's socket behaviour is right.
//
//	go build -o bin/forkrig .
//	bin/forkrig judge -- socat TCP{family}-LISTEN:{port},bind={host},fork EXEC:cat
//
// This one binary plays five parts: the command, the first process of its sandbox, what
// runs inside the sandbox, the helper programs (the reference server and client, the
// shim of package inject) that labs start, and the first process of a guest that runs another
// kernel.
package main

import (
	"os"

	"forkrig/client/tcpclient"
	"forkrig/internal/cli"
	"forkrig/internal/doctor"
	"forkrig/kernels/boot"
	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/server/forkserver"
)

func main() {
	boot.Init()
	os.Exit(cli.Main(os.Args, rig.Programs{
		"server": forkserver.Main,
		"client": tcpclient.Main,
		"inject": inject.Shim,

		doctor.ProgramName: doctor.Program,
	}))
}
