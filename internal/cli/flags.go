// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"flag"

	"github.com/urfave/cli/v3"
)

// flagsOf returns the flags that define adds to the flag set of the options, which is one
// of package flag, as flags of the command line library, so that each flag is described once.
func flagsOf(o *Options, define ...func(*flag.FlagSet)) []cli.Flag {
	o.set = flag.NewFlagSet("", flag.ContinueOnError)
	for _, d := range define {
		d(o.set)
	}
	var flags []cli.Flag
	given := map[string]bool{}
	o.set.VisitAll(func(f *flag.Flag) {
		getter, _ := f.Value.(flag.Getter) // those of package flag are
		shown := shownDefault(f)
		flags = append(flags, &cli.GenericFlag{Name: f.Name, Usage: f.Usage, Value: value{getter, f.Name, o.set, given}, DefaultText: shown, HideDefault: shown == "",
			TakesFile: f.Name == "scorecard" || f.Name == "baseline" || f.Name == "soak-dir"})
	})
	return flags
}

// value is that of a flag in a set, which notes when it is set.
type value struct {
	flag.Getter
	name  string
	in    *flag.FlagSet
	given map[string]bool // the flags that were set already
}

// Set implements [flag.Value]. A flag that is given twice is refused: the last one would win, and
// what the first one asked for would be missing without a word.
func (v value) Set(text string) error {
	if v.given[v.name] {
		return errors.New("the flag is there twice: give it once")
	}
	v.given[v.name] = true
	return v.in.Set(v.name, text)
}

// IsBoolFlag says whether the flag needs no value: see [flag.Value].
func (v value) IsBoolFlag() bool {
	b, ok := v.Getter.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
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
