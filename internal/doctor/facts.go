// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"slices"

	"forkrig/kernels/probes"
)

// fact is something that a kernel does to every server, which a check may take for the server's.
type fact struct {
	id      string // of the probe that shows it
	answer  string // of a kernel that does it
	name    string
	detail  string // says what such a kernel does
	right   string // says what others do
	costs   string
	upgrade string
}

// facts are told by what the kernel does and not by its release: distributions take fixes over.
var facts = []fact{
	{"K28", "is refused", "receive-buffer",
		"the receive buffer shrinks when segments of different lengths come, and then the kernel drops some of them (probe K28)",
		"the receive buffer takes a segment longer than what is left of it",
		"a server that reads slowly gets its bytes late: do not blame it if slow-reader or bytes-exact time out",
		"use Linux 6.18.17, 6.19.7 or 7.0, or one before 6.17"},
	{"K17", "accept does not return", "moved-connections",
		"a listener that takes over the connections of another one, with net.ipv4.tcp_migrate_req, does not wake (probe K17)",
		"a listener that takes over the connections of another one wakes",
		"if reload fails, do not blame a server that shares its port with SO_REUSEPORT and sets tcp_migrate_req",
		"use Linux 6.1.175, 6.12.86 or 7.1"},
	{"K50", "some are made again", "answered-calls",
		"a system call that a supervisor has answered may be interrupted all the same (probe K50)",
		"a system call that a supervisor has answered ends with the answer",
		"an injected error may reach the server as EINTR: do not blame the server if a check that injects errors fails once",
		"use Linux 6.1.156, 6.12.53, 6.17.8 or 6.18"},
	{"K29", "it stays", "destroyed-orphans",
		"a connection that the server has closed, and that is destroyed in FIN-WAIT-1, stays (probe K29)",
		"a connection in FIN-WAIT-1 can be destroyed",
		"the faults Destroy and PowerCut leave such connections, which count as the host's sockets",
		"use Linux 6.1.132, 6.10.8 or later"},
}

// askFacts asks the kernel for all facts.
func askFacts(ctx context.Context, tell func(finding)) {
	asked := slices.DeleteFunc(probes.All(), func(p probes.Probe) bool {
		return !slices.ContainsFunc(facts, func(f fact) bool { return f.id == p.ID })
	})
	answers := probes.Run(ctx, probes.Options{Probes: asked})
	for _, f := range facts {
		i := slices.IndexFunc(answers, func(a probes.Answer) bool { return a.ID == f.id })
		if i >= 0 {
			tell(f.finding(answers[i]))
		}
	}
}

// finding is what an answer means.
func (f fact) finding(answer probes.Answer) finding {
	found := finding{Name: f.name, State: works, Detail: f.right}
	switch {
	case answer.Broken != "":
		found.State, found.Detail = unknown, answer.Broken
		found.Costs, found.Remedy = f.costs, "run forkrig doctor again; if it happens again, report it with this output"
	case answer.Value == f.answer:
		found.State, found.Detail, found.Costs, found.Remedy = limited, f.detail, f.costs, f.upgrade
	}
	return found // where something is missing, the kernel does none of this
}
