// SPDX-License-Identifier: Apache-2.0

package search

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/scorecard"
)

func TestChooseShard(t *testing.T) {
	for name, story := range map[string]struct {
		flag string
		env  map[string]string
		want scorecard.Shard
		err  string
	}{
		"nothing":           {},
		"flag":              {flag: "1/3", want: scorecard.Shard{Index: 1, Of: 3}},
		"variable":          {env: map[string]string{shardEnv: "1/3"}, want: scorecard.Shard{Index: 1, Of: 3}},
		"job":               {env: map[string]string{"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "5"}, want: scorecard.Shard{Index: 2, Of: 5}},
		"many shards":       {flag: "19999/20000", want: scorecard.Shard{Index: 19_999, Of: 20_000}},
		"flag wins":         {flag: "1/3", env: map[string]string{shardEnv: "nonsense", "JOB_COMPLETION_INDEX": "2"}, want: scorecard.Shard{Index: 1, Of: 3}},
		"variable wins":     {env: map[string]string{shardEnv: "1/3", "JOB_COMPLETION_INDEX": "2"}, want: scorecard.Shard{Index: 1, Of: 3}},
		"wrong flag":        {flag: "3/3", err: "-shard: shard \"3/3\""},
		"wrong variable":    {env: map[string]string{shardEnv: ""}, err: "FORKRIG_SHARD: shard \"\""},
		"index alone":       {env: map[string]string{"JOB_COMPLETION_INDEX": "2"}, err: "without JOB_COMPLETIONS"},
		"completions alone": {env: map[string]string{"JOB_COMPLETIONS": "2"}, err: "without JOB_COMPLETION_INDEX"},
		"wrong index":       {env: map[string]string{"JOB_COMPLETION_INDEX": "5", "JOB_COMPLETIONS": "5"}, err: "the last 4"},
	} {
		t.Run(name, func(t *testing.T) {
			shard, err := ChooseShard(story.flag, func(name string) (string, bool) {
				value, set := story.env[name]
				return value, set
			})
			if story.err != "" {
				require.ErrorContains(t, err, story.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, story.want, shard)
		})
	}
}

// has says whether the seed is the shard's.
func has(s scorecard.Shard, seed uint64) bool { return seed%uint64(max(s.Of, 1)) == uint64(s.Index) }

// TestShardsShareTheSeeds: each seed has one owner, whatever seeds the machines
// begin with, and every shard runs its own seeds in order.
func TestShardsShareTheSeeds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		of := 1 + random.IntN(9)
		first := random.Uint64N(1 << 50)
		rounds := 1 + random.IntN(6)
		owners := map[uint64]int{}
		for index := range of {
			shard := scorecard.Shard{Index: index, Of: of}
			for n := range rounds {
				seed := seedOf(shard, first, n)
				if owner, taken := owners[seed]; taken {
					t.Fatalf("seed %d is run by %d and %d", seed, owner, index)
				}
				if !has(shard, seed) || seed > MaxSeed || n > 0 && seed != seedOf(shard, first, n-1)+uint64(of) {
					t.Fatalf("shard %v from %d: seed %d is %d", shard, first, n, seed)
				}
				owners[seed] = index
			}
		}
		// Together they are the whole: what one machine would have run.
		for n := range of * rounds {
			if _, run := owners[seedOf(scorecard.Shard{}, first, n)]; !run {
				t.Fatalf("no shard runs seed %d", seedOf(scorecard.Shard{}, first, n))
			}
		}
	}
}

func TestSeedsEnd(t *testing.T) {
	assert.Equal(t, uint64(0), seedOf(scorecard.Shard{}, MaxSeed, 1))
	for _, shard := range []scorecard.Shard{{Index: 0, Of: 3}, {Index: 2, Of: 3}} {
		for n := range 10 {
			seed := seedOf(shard, MaxSeed-5, n)
			assert.True(t, has(shard, seed) && seed <= MaxSeed, "%v: %d", shard, seed)
		}
	}
}
