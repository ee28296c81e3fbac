// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"context"
	"fmt"
	"syscall"

	"forkrig/rig"
	"forkrig/rig/inject"
)

// ExampleStart fails every second of a program's calls of getpriority(2). In a test of a
// server these would be accept4, read or wait4. The test binary has [inject.Shim] among
// the programs that it gives to [rig.Main].
func ExampleStart() {
	rig.Run(context.Background(), "example", func(tb rig.TB) {
		command := rig.Program("asking")
		command.Stdin = true
		session, err := inject.Start(tb.Context(), rig.New(tb).NewHost("host"), command, "getpriority")
		if err != nil {
			tb.Fatal(err)
		}
		if err := session.Set(inject.Rule{Calls: []inject.Call{"getpriority"}, Every: 2, Errno: syscall.EPERM}); err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintln(session.Process.Stdin, "self 4") // has it call four times
		gave, err := session.Process.Stdout.AwaitLine(tb.Context(), "what the calls gave", func(line string) bool { return line != "ready" })
		fmt.Println(gave, err, len(session.Hits()))
	})
	// Output: .[EPERM].[EPERM] <nil> 2
}
