// SPDX-License-Identifier: Apache-2.0

package search

import (
	"fmt"
	"os"

	"forkrig/scorecard"
)

// Shard is one of several parts of a search on as many machines. It has the seeds whose
// remainder by Of is Index, so that each seed belongs to exactly one shard, whatever
// the seed that each machine begins with. The zero value is the whole.
type Shard scorecard.Shard

// ShardEnv is the environment variable with a shard, as [scorecard.ParseShard] reads it.
const ShardEnv = "FORKRIG_SHARD"

// The environment variables by which Kubernetes tells the pods of an Indexed Job
// their number, and by which the job's manifest tells how many there are
// (kubernetes.io/docs/concepts/workloads/controllers/job, "Completion mode").
const (
	jobIndexEnv = "JOB_COMPLETION_INDEX"
	jobCountEnv = "JOB_COMPLETIONS"
)

// ChooseShard returns the shard that the flag names or, where that is "", the
// environment: FORKRIG_SHARD, or JOB_COMPLETION_INDEX with JOB_COMPLETIONS. Without
// any of them it is the whole.
func ChooseShard(flag string, lookup func(string) (string, bool)) (Shard, error) {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	if flag != "" {
		return parseShard(flag, "-shard")
	}
	if text, set := lookup(ShardEnv); set {
		return parseShard(text, ShardEnv)
	}
	index, hasIndex := lookup(jobIndexEnv)
	count, hasCount := lookup(jobCountEnv)
	switch {
	case !hasIndex && !hasCount:
		return Shard{}, nil
	case !hasCount:
		return Shard{}, fmt.Errorf("%s=%s without %s: set it to the job's completions, or give -shard", jobIndexEnv, index, jobCountEnv)
	case !hasIndex:
		return Shard{}, fmt.Errorf("%s=%s without %s: make the job an Indexed one, or give -shard", jobCountEnv, count, jobIndexEnv)
	}
	return parseShard(index+"/"+count, jobIndexEnv+" and "+jobCountEnv)
}

// parseShard reads a shard, and names its source in an error.
func parseShard(text, source string) (Shard, error) {
	s, err := scorecard.ParseShard(text)
	if err != nil {
		return Shard{}, fmt.Errorf("%s: %w", source, err)
	}
	return Shard(s), nil
}

// String returns the shard as [scorecard.ParseShard] reads it.
func (s Shard) String() string { return scorecard.Shard(s).String() }

func (s Shard) of() int { return max(s.Of, 1) }

// Has says whether the seed is the shard's.
func (s Shard) Has(seed uint64) bool { return seed%uint64(s.of()) == uint64(s.Index) }

// Seed returns the n-th seed of the shard, from 0, from a first one on: its
// own seeds in order. After [MaxSeed] they begin again at the bottom.
func (s Shard) Seed(first uint64, n int) uint64 {
	of := uint64(s.of())
	rounds := (MaxSeed + 1) / of // so that a remainder means the same after the end
	start := first % (rounds * of)
	return (start/of+uint64(n)+after(start%of, uint64(s.Index)))%rounds*of + uint64(s.Index)
}

// after is 1 where the shard's seed of the round in which the first one lies has
// passed already.
func after(first, index uint64) uint64 {
	if index < first {
		return 1
	}
	return 0
}
