// SPDX-License-Identifier: Apache-2.0

package search

import (
	"fmt"
	"os"

	"forkrig/scorecard"
)

// shardEnv is the environment variable with a shard, as [scorecard.ParseShard] reads it.
const shardEnv = "FORKRIG_SHARD"

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
func ChooseShard(flag string, lookup func(string) (string, bool)) (scorecard.Shard, error) {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	if flag != "" {
		return parseShard(flag, "-shard")
	}
	if text, set := lookup(shardEnv); set {
		return parseShard(text, shardEnv)
	}
	index, hasIndex := lookup(jobIndexEnv)
	count, hasCount := lookup(jobCountEnv)
	switch {
	case !hasIndex && !hasCount:
		return scorecard.Shard{}, nil
	case !hasCount:
		return scorecard.Shard{}, fmt.Errorf("%s=%s without %s: set it to the job's completions, or give -shard", jobIndexEnv, index, jobCountEnv)
	case !hasIndex:
		return scorecard.Shard{}, fmt.Errorf("%s=%s without %s: make the job an Indexed one, or give -shard", jobCountEnv, count, jobIndexEnv)
	}
	return parseShard(index+"/"+count, jobIndexEnv+" and "+jobCountEnv)
}

// parseShard reads a shard, and names its source in an error.
func parseShard(text, source string) (scorecard.Shard, error) {
	s, err := scorecard.ParseShard(text)
	if err != nil {
		return s, fmt.Errorf("%s: %w", source, err)
	}
	return s, nil
}

// seedOf returns the n-th seed of the shard, from 0, from a first one on: its own seeds in
// order, those whose remainder by Of is Index. So each seed belongs to exactly one shard,
// whatever the seed that each machine begins with. After [MaxSeed] they begin again at the
// bottom.
func seedOf(s scorecard.Shard, first uint64, n int) uint64 {
	of, index := uint64(max(s.Of, 1)), uint64(s.Index)
	rounds := (MaxSeed + 1) / of // so that a remainder means the same after the end
	start := first % (rounds * of)
	round := start/of + uint64(n)
	if index < start%of {
		round++ // the shard's seed of the first round has passed already
	}
	return round%rounds*of + index
}
