// SPDX-License-Identifier: Apache-2.0

package rig_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"forkrig/rig"
)

// ExampleRun drives a lab from a program: its main function calls [rig.Dispatch] first, and
// this in [rig.Sandboxed].
func ExampleRun() {
	outcome := rig.Run(context.Background(), "example", func(tb rig.TB) {
		host := rig.New(tb).NewHost("host")
		p := host.MustStart(rig.Exec("sh", "-c", "echo a process on its own host; exit 3"))
		exit, err := p.Wait(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		if err := p.Stdout.AwaitEnd(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		fmt.Println(exit)
		fmt.Println(p.Stdout.Last(1))
	})
	fmt.Println("failed:", outcome.Failed)
	// Output:
	// exit status 3
	// [a process on its own host]
	// failed: false
}

func TestExample(t *testing.T) {
	lab := rig.New(t)
	server, clients := lab.NewStar("server", "client", 3)
	address := netip.AddrPortFrom(server.MustAddr(rig.IPv6), 8080)

	// Of your own server: rig.Exec("./my-server", "--listen", address.String())
	p := server.MustStart(rig.Program("listening", address.String()))
	if _, err := server.AwaitListen(t.Context(), p, address.Port()); err != nil {
		t.Fatal(err)
	}

	conn, err := clients[0].Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()

	if zombies, err := p.AwaitReaped(t.Context()); err != nil || len(zombies) > 0 {
		t.Errorf("the server does not reap its workers: %v %v", zombies, err)
	}
}
