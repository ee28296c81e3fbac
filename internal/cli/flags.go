// SPDX-License-Identifier: Apache-2.0

package cli

import (
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
	o.set.VisitAll(func(f *flag.Flag) {
		getter, _ := f.Value.(flag.Getter) // those of package flag are
		shown := shownDefault(f)
		flags = append(flags, &cli.GenericFlag{Name: f.Name, Usage: f.Usage, Value: value{getter, f.Name, o.set}, DefaultText: shown, HideDefault: shown == "",
			TakesFile: f.Name == "scorecard" || f.Name == "baseline" || f.Name == "soak-dir"})
	})
	return flags
}

// value is that of a flag in a set, which notes when it is set.
type value struct {
	flag.Getter
	name string
	in   *flag.FlagSet
}

// Set implements [flag.Value].
func (v value) Set(text string) error { return v.in.Set(v.name, text) }

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
