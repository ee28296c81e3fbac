package scenarios

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"forkrig/rig"
	"forkrig/search"
)

// The flags of the search.
var (
	schedulesFlag = flag.Int("schedules", 0, "how many random `stories` TestSearch plays for each way in which the server runs; 0 is a modest number")
	soakFlag      = flag.Duration("soak", 0, "search for so `long`, with new seeds, and leave what was found in -soak-dir (make soak)")
	soakDirFlag   = flag.String("soak-dir", "soak", "the `directory` for the scorecard and the failing stories of -soak")
	atOnceFlag    = flag.Int("at-once", 0, "how many clients the subject serves at a time, for random stories; 0 is all")
	withoutFlag   = flag.String("without", "", "leave these `actions` out of random stories, such as take-files,storm")
	shardFlag     = flag.String("shard", "", "search a part of the seeds only: `i/n`, from 0/n to n-1/n on n machines\n"+
		"(environment: FORKRIG_SHARD, or JOB_COMPLETION_INDEX and JOB_COMPLETIONS)")
	replayFlag       = flag.String("replay", "", "play the story in this `file` of -soak-dir again, at the -subject or else at the server that it names")
	searchMatrixFlag = flag.Int("search-matrix", 0, "search for every defect from this many `seeds`, and print after how many stories it was found (make search-matrix)")
)

// chooseSearch refuses wrong flags of the search, and makes what they ask for the
// test that runs.
func chooseSearch() error {
	if _, err := search.ChooseShard(*shardFlag, os.LookupEnv); err != nil {
		return err
	}
	if _, err := firstSeed(); err != nil {
		return err
	}
	if _, err := search.ParseVerbs(*withoutFlag); err != nil {
		return fmt.Errorf("-without: %w", err)
	}
	if *atOnceFlag < 0 || *schedulesFlag < 0 || *searchMatrixFlag < 0 || *soakFlag < 0 {
		return errors.New("-at-once, -schedules, -search-matrix and -soak are numbers from 0 up")
	}
	if *soakFlag > 0 && *replayFlag != "" {
		return errors.New("-soak and -replay: give one of them")
	}
	if limit, err := time.ParseDuration(flag.Lookup("test.timeout").Value.String()); err == nil && limit > 0 && *soakFlag > 0 && limit < *soakFlag+5*time.Minute {
		return fmt.Errorf("-soak %v does not fit into -timeout %v: add -timeout 0", *soakFlag, limit)
	}
	for name, wanted := range map[string]bool{"^TestSoak$": *soakFlag > 0, "^TestReplay$": *replayFlag != "", "^TestSearchMatrix$": *searchMatrixFlag > 0} {
		run := flag.Lookup("test.run").Value
		switch {
		case !wanted || run.String() == name:
		case run.String() != "":
			return fmt.Errorf("-soak, -replay and -search-matrix choose what runs: leave out -run %s", run)
		default:
			if err := run.Set(name); err != nil {
				return fmt.Errorf("choose %s: %w", name, err)
			}
		}
	}
	return nil
}

// firstSeed is where a search begins: FORKRIG_SEED, or anywhere.
func firstSeed() (uint64, error) {
	text := os.Getenv(rig.SeedEnv)
	if text == "" {
		return rand.Uint64N(search.MaxSeed + 1), nil
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is not a seed: give the number that a failure printed", rig.SeedEnv, text)
	}
	return seed % (search.MaxSeed + 1), nil
}
