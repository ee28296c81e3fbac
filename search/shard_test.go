package search

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseShard(t *testing.T) {
	for text, wanted := range map[string]Shard{"0/1": {0, 1}, "3/4": {3, 4}, "999999/1000000": {999_999, 1_000_000}} {
		shard, err := ParseShard(text)
		require.NoError(t, err)
		assert.Equal(t, wanted, shard)
		assert.Equal(t, text, shard.String())
	}
	for text, why := range map[string]string{
		"": "no slash", "1": "no slash", "1/": "two numbers", "/1": "two numbers", "a/b": "two numbers", "-1/2": "two numbers",
		"+1/2": "two numbers", "1/2/3": "two numbers", " 1/2": "two numbers", "1 /2": "two numbers", "0x1/2": "two numbers",
		"0/0": "1 to 1000000", "0/1000001": "1 to 1000000", "4/4": "the last 3", "5/4": "the last 3", "99999999999/4": "two numbers",
	} {
		_, err := ParseShard(text)
		assert.ErrorContains(t, err, why, text)
		assert.ErrorContains(t, err, "give i/n", text)
	}
}

func TestChooseShard(t *testing.T) {
	for name, story := range map[string]struct {
		flag string
		env  map[string]string
		want Shard
		err  string
	}{
		"nothing":           {},
		"flag":              {flag: "1/3", want: Shard{1, 3}},
		"variable":          {env: map[string]string{ShardEnv: "1/3"}, want: Shard{1, 3}},
		"job":               {env: map[string]string{"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "5"}, want: Shard{2, 5}},
		"flag wins":         {flag: "1/3", env: map[string]string{ShardEnv: "nonsense", "JOB_COMPLETION_INDEX": "2"}, want: Shard{1, 3}},
		"variable wins":     {env: map[string]string{ShardEnv: "1/3", "JOB_COMPLETION_INDEX": "2"}, want: Shard{1, 3}},
		"wrong flag":        {flag: "3/3", err: "-shard: shard \"3/3\""},
		"wrong variable":    {env: map[string]string{ShardEnv: ""}, err: "FORKRIG_SHARD: shard \"\""},
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

// FuzzParseShard: a shard that is read is written as it was read, leading zeros aside.
func FuzzParseShard(f *testing.F) {
	for _, text := range []string{"0/1", "3/4", "4/4", "", "/", "00/01", "1/2/3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shard, err := ParseShard(text)
		if err != nil {
			return
		}
		require.Less(t, shard.Index, shard.Of)
		again, err := ParseShard(shard.String())
		require.NoError(t, err)
		require.Equal(t, shard, again)
	})
}

// TestShardsShareTheSeeds: each seed has one owner, whatever seeds the machines
// begin with, and every shard runs its own seeds in order.
func TestShardsShareTheSeeds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		of := 1 + random.IntN(9)
		first := random.Uint64N(1 << random.IntN(51))
		rounds := 1 + random.IntN(6)
		owners := map[uint64]int{}
		for index := range of {
			shard := Shard{index, of}
			for n := range rounds {
				seed := shard.Seed(first, n)
				if owner, taken := owners[seed]; taken {
					t.Fatalf("seed %d is run by %d and %d", seed, owner, index)
				}
				if !shard.Has(seed) || seed > MaxSeed || n > 0 && seed != shard.Seed(first, n-1)+uint64(of) {
					t.Fatalf("shard %v from %d: seed %d is %d", shard, first, n, seed)
				}
				owners[seed] = index
			}
		}
		// Together they are the whole: what one machine would have run.
		for n := range of * rounds {
			if _, run := owners[Shard{}.Seed(first, n)]; !run {
				t.Fatalf("seed %d is in no shard", Shard{}.Seed(first, n))
			}
		}
	}
}

func TestSeedsEnd(t *testing.T) {
	assert.Equal(t, uint64(0), Shard{}.Seed(MaxSeed, 1))
	for _, shard := range []Shard{{0, 3}, {2, 3}} {
		for n := range 10 {
			seed := shard.Seed(MaxSeed-5, n)
			assert.True(t, shard.Has(seed) && seed <= MaxSeed, "%v: %d", shard, seed)
		}
	}
}
