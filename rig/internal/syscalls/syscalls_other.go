// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package syscalls

// Absent is the number of a call that this system lacks.
const Absent = -1

// Number says that the call is absent: this system has none of the table.
func Number(string) (number int32, known bool) { return Absent, true }
