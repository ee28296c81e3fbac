// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// ExampleApply parts two hosts, which cannot reach each other then, and heals that.
func ExampleApply() {
	outcome := rig.Run(context.Background(), "example", func(tb rig.TB) {
		ctx := tb.Context()
		lab := rig.New(tb)
		server, client := lab.NewHost("server"), lab.NewHost("client")
		lab.NewLink(server, client)
		address := netip.AddrPortFrom(server.MustAddr(rig.IPv4), 7000)
		listener, err := server.Listen(ctx, address)
		if err != nil {
			tb.Fatal(err)
		}
		defer listener.Close()
		dial := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			conn, err := client.Dial(ctx, address)
			if err == nil {
				conn.Close()
			}
			return err
		}

		parted, err := fault.Apply(ctx, lab, fault.Partition{Between: []*rig.Host{client}, And: []*rig.Host{server}})
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Println("connected while parted:", dial(50*time.Millisecond) == nil)
		if err := parted.Heal(ctx); err != nil {
			tb.Fatal(err)
		}
		fmt.Println("connected when healed:", dial(rig.Patience()) == nil)
	})
	fmt.Println("failed:", outcome.Failed)
	// Output:
	// connected while parted: false
	// connected when healed: true
	// failed: false
}
