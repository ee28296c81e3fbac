//go:build !linux

package tcpclient

// notifyReleases knows no signal here: the end of standard input and -stall-for release.
func notifyReleases(chan<- struct{}) (stop func()) { return func() {} }

func ignoreReleases() {}
