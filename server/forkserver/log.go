package forkserver

import (
	"io"
	"log/slog"
	"sync"
)

// output is where the server's events go. After done it takes no more, so that
// done is the last line even if a worker ends in the same moment.
type output struct {
	mu    sync.Mutex
	w     io.Writer
	ended bool
}

// Write writes one line.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return len(line), nil
	}
	return o.w.Write(line)
}

// logger returns a logger of events of this level and above.
func (o *output) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(o, &slog.HandlerOptions{Level: level}))
}

// done writes the last line, to which no level applies.
func (o *output) done(c Counts) {
	o.mu.Lock()
	defer o.mu.Unlock()
	slog.New(slog.NewJSONHandler(o.w, nil)).Info("done", "counts", c)
	o.ended = true
}
