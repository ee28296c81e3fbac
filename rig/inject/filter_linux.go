// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package inject

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"forkrig/rig/internal/filter"
	"forkrig/rig/internal/syscalls"
)

// Offsets in struct seccomp_data (seccomp(2)). Both architectures are
// little-endian.
const (
	offsetNumber    = 0
	offsetArch      = 4
	offsetArguments = 16
	argumentSize    = 8
)

// newFilter returns a filter that asks for each of the calls, unless its sixth
// argument is pass. No trapped call that has a sixth argument could be harmed by
// a random value of 64 bits, and it is how the shim makes calls of its own.
//
// The kernel remembers which calls a filter allows whatever their arguments are
// (since Linux 5.11), so arguments are looked at last.
func newFilter(calls []int32, pass uint64) ([]unix.SockFilter, error) {
	load := func(offset uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offset, Size: 4} }
	equal := func(value uint32, yes, no uint8) bpf.Instruction {
		return bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: yes, SkipFalse: no}
	}
	answer := func(value uint32) bpf.Instruction { return bpf.RetConstant{Val: value} }
	argument := func(n int) uint32 { return uint32(offsetArguments + n*argumentSize) }

	program := []bpf.Instruction{
		load(offsetArch),
		equal(syscalls.AuditArch, 1, 0),
		answer(unix.SECCOMP_RET_ALLOW),
		load(offsetNumber),
	}
	for i, number := range calls {
		// To the trap: over the other calls, at two instructions each, and the answer.
		program = append(program, equal(uint32(number), 0, 1), bpf.Jump{Skip: uint32(2*(len(calls)-i-1) + 1)})
	}
	return filter.Assemble(append(program,
		answer(unix.SECCOMP_RET_ALLOW),
		load(argument(5)),
		equal(uint32(pass), 0, 2),
		load(argument(5)+4),
		equal(uint32(pass>>32), 1, 0),
		answer(unix.SECCOMP_RET_USER_NOTIF),
		answer(unix.SECCOMP_RET_ALLOW),
	))
}
