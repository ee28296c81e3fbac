// SPDX-License-Identifier: Apache-2.0

// Package rig builds network labs for tests: hosts that are Linux network
// namespaces, links that are veth pairs, and processes that run on the hosts.
// It injects faults into them and reports what the kernel says about sockets,
// processes, descriptors and signals.
//
// A test binary that uses the package hands its TestMain over to [Main], which
// runs every test inside a sandbox of fresh namespaces. Whatever a test builds
// is part of that sandbox and ends with it, also when the test binary dies of
// SIGKILL: nothing is named outside the sandbox, so nothing has to be cleaned
// up by name.
//
//	func TestMain(m *testing.M) { rig.Main(m, nil) }
//
//	func TestTwoHosts(t *testing.T) {
//		lab := rig.New(t)
//		server, client := lab.NewHost("server"), lab.NewHost("client")
//		lab.NewLink(server, client)
//		…
//	}
//
// The package needs Linux 5.9 or later, and root or user namespaces. On other
// systems it compiles, and [Main] ends with one clear error.
package rig
