// SPDX-License-Identifier: Apache-2.0

package rig

// Record adds an event of the process to the journal of its lab.
func (p *Process) Record(format string, args ...any) {
	p.Host.lab.Journal.Record(p.who(), format, args...)
}
