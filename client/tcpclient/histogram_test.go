package tcpclient

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPercentiles(t *testing.T) {
	t.Parallel()
	upTo := func(n int) (samples []time.Duration) {
		for i := 1; i <= n; i++ {
			samples = append(samples, time.Duration(i))
		}
		return samples
	}
	for _, test := range []struct {
		name    string
		samples []time.Duration
		want    Percentiles
	}{
		{"none", nil, Percentiles{}},
		{"one", []time.Duration{7}, Percentiles{1, 7, 7, 7, 7}},
		{"two", []time.Duration{9, 3}, Percentiles{2, 3, 9, 9, 9}},
		{"ten", upTo(10), Percentiles{10, 5, 9, 10, 10}},
		{"hundred", upTo(100), Percentiles{100, 50, 90, 99, 100}},
		{"hundred and one", upTo(101), Percentiles{101, 51, 91, 100, 101}},
		{"zero", []time.Duration{0, 0, 0}, Percentiles{3, 0, 0, 0, 0}},
		{"one large", []time.Duration{time.Hour}, Percentiles{1, time.Hour, time.Hour, time.Hour, time.Hour}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var h histogram
			for _, s := range test.samples {
				h.add(s)
			}
			assert.Equal(t, test.want, h.percentiles())
		})
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	last := -1
	for d := time.Duration(0); d < 1<<14; d++ {
		b := bucket(d)
		require.Contains(t, []int{last, last + 1}, b, "no bucket is left out, at %d", d)
		last = b
		require.Equal(t, b, bucket(bucketEnd(b)))
		require.Equal(t, b+1, bucket(bucketEnd(b)+1))
	}
	for _, d := range []time.Duration{255, 256, 257, time.Microsecond, time.Second, time.Hour, math.MaxInt64} {
		end := bucketEnd(bucket(d))
		require.GreaterOrEqual(t, end, d)
		require.LessOrEqual(t, end-d, d/128)
	}
	require.Equal(t, 0, bucket(-5), "a clock that went back counts as no time")
}

func TestHistogramAgreesWithSorting(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var samples []time.Duration
	var parts [3]histogram
	for i := range 10_000 {
		d := time.Duration(math.Exp(random.Float64() * 25))
		samples = append(samples, d)
		parts[i%len(parts)].add(d)
	}
	slices.Sort(samples)

	var sum histogram
	for i := range parts {
		text, err := json.Marshal(parts[i])
		require.NoError(t, err)
		var read histogram
		require.NoError(t, json.Unmarshal(text, &read))
		sum.merge(read)
	}
	got := sum.percentiles()
	assert.EqualValues(t, len(samples), got.Count)
	assert.Equal(t, samples[len(samples)-1], got.Max)
	for _, p := range []struct {
		got  time.Duration
		rank int
	}{{got.P50, 5000}, {got.P90, 9000}, {got.P99, 9900}} {
		exact := samples[p.rank-1]
		assert.GreaterOrEqual(t, p.got, exact)
		assert.LessOrEqual(t, p.got, exact+exact/128)
	}
}
