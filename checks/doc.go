// SPDX-License-Identifier: Apache-2.0

// Package checks judges the subject, a TCP server of which it knows nothing. It starts the
// subject in a lab, converses with it, applies the faults of networks and machines, and says
// from what the kernel reports whether the subject is right.
//
// Each [judge.Check] has a stable name and a file of its own, and is proved by defects of the
// reference server: ways to be wrong that it must catch. Its verdict is pass,
// fail, broken (a precondition was not met, so nothing is known) or skip (the check does
// not apply to this subject). What was not judged is never a pass.
//
// # How long a check waits
//
// A check waits for an observation. It gives up when the subject is quiescent: for
// [rig.Settling] every process of the subject slept, none was started or ended, and no
// socket of its host changed. It waits on for a slow subject on a busy machine. It gives up,
// too, when the subject is in a busy loop: it has used more processor time than any answer
// takes.
package checks
