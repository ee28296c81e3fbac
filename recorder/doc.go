// SPDX-License-Identifier: Apache-2.0

// Package recorder keeps what happened in a lab, for people to look at: its hosts, processes and
// connections, the packets, the faults, and what was waited for, all on one clock.
//
// A [Recording] is what remains when the lab is gone. It is written as JSON, which package report
// shows as a picture, as pcapng for Wireshark, and as a trace for ui.perfetto.dev.
package recorder
