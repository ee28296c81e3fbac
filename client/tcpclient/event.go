package tcpclient

import (
	"encoding/json"
	"io"
	"sync"
)

// Gathered announces, in one line of JSON on standard output, that all connections of a
// load have come to the same point: "holding" with -hold, and "stalling" with -leave stall
// where all of them stall at the same time. With -processes it comes once, from the parent,
// when all processes have come there. What stands at that point goes on at SIGUSR1.
type Gathered struct {
	Event       string `json:"event"`       // "holding" or "stalling"
	Connections int    `json:"connections"` // open and waiting
	Failed      int    `json:"failed"`      // ended before they came here
	PIDs        []int  `json:"pids"`        // of the processes that have the connections
}

// Lost says that a connection which was held or stalled was ended by the server.
type Lost struct {
	Event string `json:"event"` // always "lost"
	Error string `json:"error"` // with connection and addresses
}

// privateLine is what a process of a load tells its parent, besides Gathered and Lost.
type privateLine struct {
	Event  string `json:"event"` // "progress" or "tally"
	Done   int    `json:"done"`
	Failed int    `json:"failed"`
	Tally  *tally `json:"tally,omitempty"`
}

// A lineWriter writes values as lines of JSON, each in one piece. It is safe for concurrent
// use.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) write(value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.out.Write(append(line, '\n'))
	return err
}
