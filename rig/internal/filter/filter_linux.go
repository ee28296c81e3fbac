// SPDX-License-Identifier: Apache-2.0

// Package filter assembles programs of classic BPF as the kernel takes them, for
// seccomp(2) and for SO_ATTACH_FILTER in socket(7).
package filter

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Assemble returns the program as the kernel takes it.
func Assemble(program []bpf.Instruction) ([]unix.SockFilter, error) {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble a filter: %w", err)
	}
	assembled := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		assembled[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return assembled, nil
}
