// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"flag"

	"github.com/urfave/cli/v3"
)

// flagsOf returns the flags that define adds to a flag set of package flag as flags of
// the command line library, so that each flag is described once.
func flagsOf(define ...func(*flag.FlagSet)) []cli.Flag {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	for _, d := range define {
		d(set)
	}
	var flags []cli.Flag
	set.VisitAll(func(f *flag.Flag) {
		value, _ := f.Value.(cli.Value) // those of package flag are
		flags = append(flags, &cli.GenericFlag{Name: f.Name, Usage: f.Usage, Value: value, DefaultText: shownDefault(f), HideDefault: shownDefault(f) == "",
			TakesFile: f.Name == "scorecard" || f.Name == "baseline" || f.Name == "soak-dir"})
	})
	return flags
}

// shownDefault is the default value as help shows it, "" for one that says nothing.
func shownDefault(f *flag.Flag) string {
	switch f.DefValue {
	case "", "0", "0s", "false":
		return ""
	}
	if f.Name == "subject" {
		return "" // it comes from the environment
	}
	return f.DefValue
}
