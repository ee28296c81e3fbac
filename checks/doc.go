// SPDX-License-Identifier: Apache-2.0

// Package checks judges a TCP server that it knows nothing of, the subject: it
// starts it in a lab of package rig, converses with it, does to it what networks and
// machines do, and says from what the kernel reports whether it behaved.
//
// Each [Check] has a stable name and a file of its own, and is proved by defects of the
// reference server: ways to be wrong that it must catch. Its verdict is pass,
// fail, broken (a precondition did not come true, so that nothing is known) or
// skip (it does not apply to this subject), never a pass in silence.
//
// # How long a check waits
//
// A check waits for an observation, and gives up when nothing can bring it about
// any more: when for [rig.Settling] every process of the subject slept, none came
// or went, and no socket of its host changed. A subject that is merely slow, on a
// machine that is merely busy, is waited for. A subject that works without
// end is given up when it has used more processor time than any answer takes.
package checks
