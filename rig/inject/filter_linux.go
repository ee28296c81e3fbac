//go:build amd64 || arm64

package inject

import "golang.org/x/sys/unix"

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
func newFilter(calls []int32, pass uint64) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	equal := func(k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: yes, Jf: no, K: k}
	}
	jump := func(n int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(n)}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	argument := func(n int) uint32 { return uint32(offsetArguments + n*argumentSize) }

	filter := []unix.SockFilter{
		load(offsetArch),
		equal(auditArch, 1, 0),
		answer(unix.SECCOMP_RET_ALLOW),
		load(offsetNumber),
	}
	for i, number := range calls {
		// To the trap: over the other calls, at two instructions each, and the answer.
		filter = append(filter, equal(uint32(number), 0, 1), jump(2*(len(calls)-i-1)+1))
	}
	return append(filter,
		answer(unix.SECCOMP_RET_ALLOW),
		load(argument(5)),
		equal(uint32(pass), 0, 2),
		load(argument(5)+4),
		equal(uint32(pass>>32), 1, 0),
		answer(unix.SECCOMP_RET_USER_NOTIF),
		answer(unix.SECCOMP_RET_ALLOW),
	)
}
