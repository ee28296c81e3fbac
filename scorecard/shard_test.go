// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"encoding/json"
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

func TestShardText(t *testing.T) {
	for text, shard := range map[string]Shard{`""`: {}, `"0/1"`: {0, 1}, `"2/3"`: {2, 3}} {
		written, err := json.Marshal(shard)
		require.NoError(t, err)
		assert.Equal(t, text, string(written))
		var read Shard
		require.NoError(t, json.Unmarshal(written, &read))
		assert.Equal(t, shard, read)
	}
	for _, invalid := range []Shard{{-1, 2}, {2, 2}, {0, -1}, {1, 0}, {0, maxShards + 1}} {
		_, err := json.Marshal(invalid)
		assert.Error(t, err, "%+v", invalid)
	}
}

// TestMergeOfManyShards: as many as a search can be divided into can be merged.
func TestMergeOfManyShards(t *testing.T) {
	for _, of := range []int{20_000, maxShards} {
		var text bytes.Buffer
		require.NoError(t, shard(Shard{of - 1, of}.String(), 1, Pass, "x").WriteJSON(&text))
		card, err := Parse(&text)
		require.NoError(t, err)
		merged, err := merge(named(shard(Shard{0, of}.String(), 1, Pass, "x"), card)...)
		require.NoError(t, err)
		missing, total := merged.missingShards()
		assert.Len(t, missing, of-2)
		assert.Equal(t, of, total)
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
