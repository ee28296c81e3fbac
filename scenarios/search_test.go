package scenarios

import (
	"flag"
	"testing"
	"time"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/search"
)

var zseed = flag.Int("zseed", 1, "")
var zn = flag.Int("zn", 100, "")
var zargs = flag.String("zdefect", "", "")
var zpar = flag.Int("zpar", 4, "")

func TestZ(t *testing.T) {
	subject := builtIn("-grace", "10m")
	if *zargs != "" {
		subject = builtIn("-grace", "10m", "-defect", *zargs)
	}
	traits, err := search.Examine(t, subject, rig.IPv4)
	require.NoError(t, err)
	t.Logf("%+v", traits)
	b := traits.Budget(subject)
	var next atomic.Int64
	next.Store(int64(*zseed) - 1)
	start := time.Now()
	var wg sync.WaitGroup
	n, acts := atomic.Int64{}, atomic.Int64{}
	for range *zpar {
		wg.Go(func() {
			for {
				seed := int(next.Add(1))
				if seed >= *zseed+*zn {
					return
				}
				s := b.Make(uint64(seed))
				a := time.Now()
				out := search.Play(t, subject, traits, s, false)
				n.Add(1)
				acts.Add(int64(len(s.Actions)))
				if time.Since(a) > time.Second {
					t.Logf("slow %d: %v\n%v", seed, time.Since(a), s)
				}
				if out.Verdict != "pass" {
					t.Errorf("%d: %v at %d: %s %s\n%s", seed, out.Verdict, out.At, out.Observed, out.Cause, s)
					for _, l := range out.Evidence {
						t.Log(l)
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d schedules, %d actions, %v, %v each", n.Load(), acts.Load(), time.Since(start), time.Since(start)/time.Duration(n.Load()))
}
