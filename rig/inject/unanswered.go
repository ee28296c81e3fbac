// SPDX-License-Identifier: Apache-2.0

package inject

// Unanswered says whether a trapped call waits for the rig's answer, and how many
// calls were made so far. A process in such a call sleeps, but what it waits for
// is the rig, which may have to wait for a processor itself.
func (s *Session) Unanswered() (waits bool, made int) { return s.waiting() }
