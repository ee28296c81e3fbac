package tcpclient

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// notifyReleases turns every SIGUSR1 into a release.
func notifyReleases(told chan<- struct{}) (stop func()) {
	signals := make(chan os.Signal, cap(told))
	stopped := make(chan struct{})
	signal.Notify(signals, unix.SIGUSR1)
	go func() {
		for {
			select {
			case <-signals:
				select {
				case told <- struct{}{}:
				case <-stopped:
					return
				}
			case <-stopped:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(stopped)
	}
}

// ignoreReleases leaves SIGUSR1 to the parent, so that it may be sent to a process group.
func ignoreReleases() { signal.Ignore(unix.SIGUSR1) }
