// SPDX-License-Identifier: Apache-2.0

// Package observe reads what the kernel shows of the hosts of a sandbox: processes
// with their threads, descriptors and signals from /proc, and TCP sockets from
// sock_diag(7).
//
// An [Observer] reads for all its callers: one read serves every caller who asked
// before that read began. [Quiescence] tells from successive snapshots whether
// anything still happens.
//
// The functions named Read… read one process, by its number, at once. The numbers are
// those of the PID namespace in which /proc was mounted.
package observe
