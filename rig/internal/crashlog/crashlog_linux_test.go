// SPDX-License-Identifier: Apache-2.0

package crashlog

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCrashLines(t *testing.T) {
	t.Parallel()
	b := crashedBinary{file: "plain.test", sizes: map[uint64]bool{0x8a000: true}, names: map[string]bool{"exe": true, "server": true}}
	for record, is := range map[string]bool{
		"6,348,218,-;exe[22907]: segfault at 4 ip 0489cf5 sp 02658 error 6 in plain.test[89cf5,400000+8a000] likely on CPU 1 (core 1, socket 0)\n":   true,
		"6,348,218,-;exe[22907]: segfault at 4 ip 0489cf5 sp 02658 error 6 in plain.test[400000+8a000]\n":                                            true,
		"6,348,218,-;exe[22907]: segfault at 4 ip 0489cf5 sp 02658 error 6 in plain.test[89cf5,400000+8b000] likely on CPU 1 (core 1, socket 0)\n":   false, // another build
		"6,348,218,-;exe[22907]: segfault at 4 ip 0489cf5 sp 02658 error 6 in other.test[89cf5,400000+8a000] likely on CPU 1 (core 1, socket 0)\n":   false,
		"6,349,218,-;server[7]: segfault at 1234 ip 0000000000001234 sp 0000174a83fd0e90 error 14 likely on CPU 1 (core 1, socket 0)\n":              true,
		"6,349,218,-;bash[7]: segfault at 1234 ip 0000000000001234 sp 0000174a83fd0e90 error 14 likely on CPU 1 (core 1, socket 0)\n":                false,
		"4,350,218,-;traps: server[9] general protection fault ip:46e8d1 sp:7ffc error:0 in plain.test[400000+8a000]\n":                              true,
		"4,350,218,-;traps: server[9] trap invalid opcode ip:46e8d1 sp:7ffc error:0 in plain.test[6e8d1,400000+8a000]\n":                             true,
		"6,351,218,-;server[9]: unhandled exception: DABT (lower EL), ESR 0x92000046, level 2 translation fault in plain.test[6e8d1,400000+8a000]\n": true,
		"14,352,218,-;server[9]: segfault at 0 ip 0 sp 0 error 4 in plain.test[400000+8a000]\n":                                                      false, // a process wrote it
		"6,353,218,-;Code: 44 24 50 48 83 f9 03\n SUBSYSTEM=x\n":                                                                                     false,
		"6,354,218,-;TCP: request_sock_TCP: Possible SYN flooding on port 10.0.1.1:9999. Sending cookies.\n":                                         false,
		"": false,
	} {
		line, found := b.crashed(record)
		assert.Equal(t, is, found, record)
		assert.NotContains(t, line, "\n")
	}
	assert.NotEmpty(t, thisBinary(nil).sizes)
}
