package tcpclient

import "sync"

// A gathering is a point at which the connections of a process wait for each other, and
// then to be released. Every connection either comes or misses it, once.
type gathering struct {
	event    string        // that announces it; empty for one that is not announced
	complete chan struct{} // closed when no connection is awaited any more
	released chan struct{} // closed when the connections may go on

	mu      sync.Mutex
	awaited int
	present int
	absent  int
}

func newGathering(event string, connections int) *gathering {
	return &gathering{
		event:    event,
		complete: make(chan struct{}),
		released: make(chan struct{}),
		awaited:  connections,
	}
}

func (g *gathering) come() { g.count(&g.present) }
func (g *gathering) miss() { g.count(&g.absent) }

func (g *gathering) count(n *int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*n++
	if g.awaited--; g.awaited == 0 {
		close(g.complete)
	}
}

// counts returns how many connections have come and how many have missed it.
func (g *gathering) counts() (present, absent int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.present, g.absent
}
