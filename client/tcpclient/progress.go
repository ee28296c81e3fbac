package tcpclient

import (
	"fmt"
	"io"
	"os"
	"time"
)

const progressInterval = 200 * time.Millisecond

// showProgress keeps one line on standard error up to date, if that is a terminal. Stop
// removes the line.
func showProgress(std streams, total int, progress func() (done, failed int)) (stop func()) {
	file, ok := std.err.(*os.File)
	if !ok || !isTerminal(file) {
		return func() {}
	}
	stopLine := every(progressInterval, func() {
		done, failed := progress()
		fmt.Fprintf(file, "\r%d of %d connections, %d failed", done, total, failed)
	})
	return func() {
		stopLine()
		io.WriteString(file, "\r\x1b[K")
	}
}

// every calls f at every interval until stop is called, and never after that.
func every(interval time.Duration, f func()) (stop func()) {
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				f()
			case <-stopped:
				return
			}
		}
	}()
	return func() {
		close(stopped)
		<-done
	}
}
