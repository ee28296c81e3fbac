package search

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Shard is one of several parts of a search on as many machines. It has the seeds whose
// remainder by Of is Index, so that no seed has two owners and each has one,
// whatever the seed that each machine begins with. The zero value is the whole.
type Shard struct {
	Index int // from 0
	Of    int // how many there are; 0 means 1
}

// maxShards is more machines than anybody has.
const maxShards = 1_000_000

// ShardEnv is the environment variable with a shard, as [ParseShard] reads it.
const ShardEnv = "FORKRIG_SHARD"

// The environment variables by which Kubernetes tells the pods of an Indexed Job
// their number, and by which the job's manifest tells how many there are
// (kubernetes.io/docs/concepts/workloads/controllers/job, "Completion mode").
const (
	jobIndexEnv = "JOB_COMPLETION_INDEX"
	jobCountEnv = "JOB_COMPLETIONS"
)

// ParseShard reads i/n: the shard i, from 0 to n-1, of n.
func ParseShard(text string) (Shard, error) {
	wrong := func(why string) (Shard, error) {
		return Shard{}, fmt.Errorf("shard %q: %s: give i/n, such as 0/4 to 3/4 on four machines", text, why)
	}
	first, second, found := strings.Cut(text, "/")
	if !found {
		return wrong("there is no slash")
	}
	index, indexErr := number(first)
	of, ofErr := number(second)
	switch {
	case indexErr != nil || ofErr != nil:
		return wrong("these are not two numbers")
	case of < 1 || of > maxShards:
		return wrong(fmt.Sprintf("there are 1 to %d shards", maxShards))
	case index >= of:
		return wrong(fmt.Sprintf("the first is 0 and the last %d", of-1))
	}
	return Shard{Index: index, Of: of}, nil
}

// number reads digits and nothing else.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

// ChooseShard returns the shard that the flag names or, where that is "", the
// environment: FORKRIG_SHARD, or JOB_COMPLETION_INDEX with JOB_COMPLETIONS. Without
// any of them it is the whole.
func ChooseShard(flag string, lookup func(string) (string, bool)) (Shard, error) {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	if flag != "" {
		s, err := ParseShard(flag)
		if err != nil {
			return s, fmt.Errorf("-shard: %w", err)
		}
		return s, nil
	}
	if text, set := lookup(ShardEnv); set {
		s, err := ParseShard(text)
		if err != nil {
			return s, fmt.Errorf("%s: %w", ShardEnv, err)
		}
		return s, nil
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
	s, err := ParseShard(index + "/" + count)
	if err != nil {
		return s, fmt.Errorf("%s and %s: %w", jobIndexEnv, jobCountEnv, err)
	}
	return s, nil
}

// String returns the shard as [ParseShard] reads it.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.of()) }

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
