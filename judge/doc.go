// SPDX-License-Identifier: Apache-2.0

// Package judge tries a subject, which is a server under test, and returns verdicts.
//
// A [Trial] runs each [Check] in a lab of its own for each address family. The check gets a
// [Case]: it starts the subject as an [Instance], connects clients as [Conn], applies faults
// ([Case.Apply]), waits for observations ([Case.Until]), and ends with pass, warn,
// by-design, fail, broken or skip. All waits end when the subject is quiescent or in a busy loop, or after
// 30 s ([rig.Scaled]).
//
// The package does not know which checks exist: see package checks.
package judge
