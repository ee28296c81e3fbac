package forkserver

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// signals are those that the server catches.
type signals struct {
	child chan os.Signal // SIGCHLD; one slot is enough, see workers.reapOn
	stop  chan os.Signal // SIGTERM and SIGINT; the first asks, the second insists
}

// catchSignals makes the signals that the server uses interrupt its accept, as
// they do in a C server whose sa_flags are 0.
//
//   - SIGCHLD, SIGTERM and SIGINT have work to do.
//   - SIGUSR1 and SIGUSR2 have none: they are for storms.
//   - SIGPIPE and SIGXFSZ are caught so that the server outlives the reader of its log, and a
//     limit on the log's size. In workers they have their default action again.
//   - SIGURG is left alone. The Go scheduler sends it to its own threads, and
//     relies on SA_RESTART to disturb nothing.
//
// Should the server have been started with a signal blocked or ignored, it
// catches it all the same, and its workers start with it neither blocked nor ignored.
func catchSignals(defect Defect) (*signals, error) {
	s := &signals{child: make(chan os.Signal, 1), stop: make(chan os.Signal, 2)}
	signal.Notify(s.child, unix.SIGCHLD)
	signal.Notify(s.stop, unix.SIGTERM, unix.SIGINT)
	signal.Notify(make(chan os.Signal, 1), unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGXFSZ) // nobody listens

	for _, sig := range []syscall.Signal{unix.SIGCHLD, unix.SIGTERM, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2} {
		if err := interrupts(sig); err != nil {
			return nil, fmt.Errorf("catch %s: %w", unix.SignalName(sig), err)
		}
	}
	if defect == NoSIGPIPE || defect == DiesOfLog {
		if err := setDefault(unix.SIGPIPE); err != nil {
			return nil, fmt.Errorf("leave SIGPIPE alone: %w", err)
		}
	}
	if defect == DiesOfLog {
		if err := setDefault(unix.SIGXFSZ); err != nil {
			return nil, fmt.Errorf("leave SIGXFSZ alone: %w", err)
		}
	}
	return s, nil
}

func signalName(s os.Signal) string {
	if s, ok := s.(syscall.Signal); ok {
		return unix.SignalName(s)
	}
	return s.String()
}
