package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/search"
)

// progressEvery is how often a soak says how far it has come.
const progressEvery = 10 * time.Second

// TestSoak searches for a long time, each way to run in its turn, and leaves what it
// finds in a directory: scorecard.json and scorecard.md, and for each failing story
// story-SEED.md, .json and .go.txt. -merge takes the directories of all shards.
func TestSoak(t *testing.T) {
	if *soakFlag == 0 {
		t.Skip("make soak runs it")
	}
	shard, err := search.ChooseShard(*shardFlag, os.LookupEnv)
	require.NoError(t, err)
	seed, err := firstSeed()
	require.NoError(t, err)
	without, err := search.ParseVerbs(*withoutFlag)
	require.NoError(t, err)
	dir := soakDir{path: rig.FromInvoker(*soakDirFlag)}
	require.NoError(t, os.MkdirAll(dir.path, 0o777))

	ways := toSearch(t)
	dir.card = scorecard.Card{Subject: ways[0].subject.String(), Kernel: rig.Kernel(), Seed: seed}
	if shard.Of > 1 {
		dir.card.Shard = scorecard.Shard(shard)
	}
	fmt.Fprintf(rig.Announce(), "soak for %v, shard %v, first seed %d: %s\n", *soakFlag, shard, seed, dir.path)
	began := time.Now()
	for i, way := range ways {
		families := way.examined(t, rig.Families[:]...)
		s := search.Search{Subject: way.subject, Families: families, Seed: seed, Shard: shard, Without: without, Short: true,
			Until: began.Add(*soakFlag * time.Duration(i+1) / time.Duration(len(ways)))}
		checks := dir.card.Checks
		wayBegan, last := time.Now(), time.Now()
		keep := func(report search.Report) {
			dir.card.Checks = checks
			for _, family := range rig.Families {
				if _, listens := families[family]; !listens {
					continue
				}
				result := report.Result(family, time.Since(wayBegan), func(story search.Story) string { return repeatStory(way, story) })
				if len(ways) > 1 {
					result.Name += "-" + way.name
				}
				dir.card.Checks = append(dir.card.Checks[:len(dir.card.Checks):len(dir.card.Checks)], result)
			}
			require.NoError(t, dir.write(report))
			fmt.Fprintf(rig.Announce(), "%8v  %-8s %7d stories %8d actions %4d failed %4d broken\n",
				time.Since(began).Round(time.Second), way.name, report.Schedules, report.Actions, report.Failures, report.Broken)
		}
		s.Progress = func(report search.Report) {
			if time.Since(last) >= progressEvery {
				last = time.Now()
				keep(report)
			}
		}
		report := s.Run(t)
		dir.card.Complete = i == len(ways)-1
		keep(report)
		tellReport(t, way, report)
	}
}

// soakDir is where a soak leaves what it finds. All of it is there as soon as it is
// known, in case the soak does not come to its end.
type soakDir struct {
	path string
	card scorecard.Card
}

func (d *soakDir) write(report search.Report) error {
	for _, story := range report.Stories {
		file, err := os.Create(filepath.Join(d.path, story.Name()+".json"))
		if err != nil {
			return err
		}
		if err := story.WriteJSON(file); err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
		for name, text := range map[string]string{story.Name() + ".md": "```\n" + story.String() + "\n```\n", story.Name() + ".go.txt": story.GoTest("scenarios")} {
			if err := os.WriteFile(filepath.Join(d.path, name), []byte(text), 0o666); err != nil {
				return err
			}
		}
	}
	// Whoever reads the card meanwhile sees a whole one.
	for name, write := range map[string]func(*os.File) error{
		scorecard.CardFile: func(f *os.File) error { return d.card.WriteJSON(f) },
		"scorecard.md":     func(f *os.File) error { return d.card.WriteMarkdown(f) },
	} {
		file, err := os.CreateTemp(d.path, name)
		if err != nil {
			return err
		}
		if err := write(file); err != nil {
			return err
		}
		if err := file.Chmod(0o644); err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
		if err := os.Rename(file.Name(), filepath.Join(d.path, name)); err != nil {
			return err
		}
	}
	return nil
}
