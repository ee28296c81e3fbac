// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"fmt"
	"strconv"
	"strings"
)

// maxShards is into how many shards a search may be divided.
const maxShards = 1_000_000

// Shard is one of several parts of a search on as many machines. The zero value is
// the whole, and is written as 0/1.
type Shard struct {
	Index int // from 0
	Of    int // how many there are; 0 means 1
}

// ParseShard reads i/n: the shard i, from 0 to n-1, of n, which is at most
// 1,000,000.
func ParseShard(text string) (Shard, error) {
	first, second, found := strings.Cut(text, "/")
	index, indexErr := strconv.ParseUint(first, 10, 31) // digits and nothing else
	of, ofErr := strconv.ParseUint(second, 10, 31)
	shard := Shard{int(index), int(of)}
	why := shard.invalid()
	switch {
	case !found:
		why = "there is no slash"
	case indexErr != nil || ofErr != nil:
		why = "these are not two numbers"
	case of == 0:
		why = invalidNumber
	}
	if why != "" {
		return Shard{}, fmt.Errorf("shard %s: %s: give i/n, such as 0/4 to 3/4 on four machines", quote(text), why)
	}
	return shard, nil
}

var invalidNumber = fmt.Sprintf("there are 1 to %d shards", maxShards)

// invalid says what is wrong with a shard, "" for a right one.
func (s Shard) invalid() string {
	switch of := s.of(); {
	case s.Of < 0 || of > maxShards:
		return invalidNumber
	case s.Index < 0 || s.Index >= of:
		return fmt.Sprintf("the first is 0 and the last %d", of-1)
	}
	return ""
}

func (s Shard) of() int { return max(s.Of, 1) }

// String returns the shard as [ParseShard] reads it.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.of()) }

// MarshalText returns "i/n", or "" for the zero value. It fails for an invalid shard.
func (s Shard) MarshalText() ([]byte, error) {
	if s == (Shard{}) {
		return nil, nil
	}
	if why := s.invalid(); why != "" {
		return nil, fmt.Errorf("shard %v: %s", s, why)
	}
	return []byte(s.String()), nil
}

// UnmarshalText accepts what MarshalText returns.
func (s *Shard) UnmarshalText(text []byte) (err error) {
	if *s = (Shard{}); len(text) > 0 {
		*s, err = ParseShard(string(text))
	}
	return err
}
