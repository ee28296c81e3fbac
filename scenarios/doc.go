// SPDX-License-Identifier: Apache-2.0

// Package scenarios tests how a fork-per-connection TCP server behaves when the
// network and the machine misbehave. Each file holds one behaviour; each test
// is a story: build a lab, act, inject a fault, check what the kernel says.
//
// Run it with
//
//	sudo go test ./scenarios/...
//
// or without sudo where user namespaces are allowed.
package scenarios
