package tcpclient

import (
	"io"
	"os"
)

// awaitReleases returns a channel on which each release of standing connections comes:
// SIGUSR1 where there are signals, and with -hold the end of standard input. Call stop
// when no more releases are wanted.
func awaitReleases(cfg config, in io.Reader) (releases <-chan struct{}, stop func()) {
	// Two gatherings at most take a release each.
	told := make(chan struct{}, 2)
	if cfg.hold && canEnd(in) {
		go func() {
			// Whatever ends the input, it has ended.
			_, _ = io.Copy(io.Discard, in)
			told <- struct{}{}
		}()
	}
	stop = func() {}
	if cfg.hold || cfg.leave == leaveStall {
		stop = notifyReleases(told)
	}
	return told, stop
}

// canEnd says whether the end of in is something that somebody does. The null device, a
// file and a closed descriptor are at their end from the beginning.
func canEnd(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return true
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	return info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 || isTerminal(file)
}

func ownPID() []int { return []int{os.Getpid()} }
