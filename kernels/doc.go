// SPDX-License-Identifier: Apache-2.0

// Package kernels puts the same questions to several kernels and compares what they answer.
//
// A [Plan] names kernels and jobs. Each kernel is booted by package boot, which needs no
// privilege, or is that of this machine, and runs the same binary, which says what it finds in
// lines ([Line]). What was said is outside of a guest at once, so that one that dies takes nothing
// with it. A [Table] has a column for each kernel, and says in which rows they differ.
//
// The questions are those of package probes, and the checks of a scorecard. The package knows
// nothing of how a subject is judged: the command that it starts in each kernel does.
package kernels
