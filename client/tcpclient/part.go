package tcpclient

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// partCommand is the private first argument of a process that a parent has started for a
// part of its load. The second is PROCESS/PROCESSES; the parent's own arguments follow.
//
// The parent holds a pipe to its standard input. Every byte in it is a release; its end is
// the end of the parent, and of this process. On its standard output it tells the parent,
// in lines of JSON, what it announces, how far it is, and as the last line its tally.
const partCommand = "load-part"

func partArguments(p part, seed uint64, args []string) []string {
	return append([]string{
		partCommand, fmt.Sprintf("%d/%d", p.process, p.processes),
		"-seed", strconv.FormatUint(seed, 10),
	}, args...)
}

func parsePart(args []string) (p part, rest []string, ok bool) {
	if len(args) < 2 || args[0] != partCommand {
		return p, nil, false
	}
	process, processes, _ := strings.Cut(args[1], "/")
	var err, err2 error
	p.process, err = strconv.Atoi(process)
	p.processes, err2 = strconv.Atoi(processes)
	return p, args[2:], err == nil && err2 == nil && 0 <= p.process && p.process < p.processes
}

// runPart runs a part of a load as a process of its own. Connections that fail are in the
// tally and are no error here.
func runPart(p part, args []string, std streams) error {
	cfg, err := parseConfig(args)
	if err != nil {
		return err
	}
	ignoreReleases()
	releases := make(chan struct{}, 2)
	go obeyParent(std.in, releases)

	lines := &lineWriter{out: std.out}
	l := newLoad(cfg, share(cfg.connections, p.processes, p.process), lines)
	stopProgress := every(progressInterval, func() {
		done, failed := l.tally.progress()
		// A parent that does not listen any more has ended, and obeyParent sees that.
		_ = lines.write(privateLine{Event: "progress", Done: done, Failed: failed})
	})
	toBeKilled, err := l.run(releases)
	stopProgress()
	if err != nil {
		return err
	}
	l.tally.mu.Lock()
	err = lines.write(privateLine{Event: "tally", Tally: l.tally})
	l.tally.mu.Unlock()
	if toBeKilled {
		return killSelf()
	}
	return err
}

// obeyParent hands on the parent's releases, and ends the process when the parent ends.
func obeyParent(in io.Reader, releases chan<- struct{}) {
	var release [1]byte
	for {
		if _, err := in.Read(release[:]); err != nil {
			os.Exit(ExitFailed)
		}
		releases <- struct{}{}
	}
}
