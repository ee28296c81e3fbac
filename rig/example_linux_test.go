// SPDX-License-Identifier: Apache-2.0

package rig_test

import (
	"net/netip"
	"testing"

	"forkrig/rig"
)

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
