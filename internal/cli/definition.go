// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"flag"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"forkrig/checks"
	"forkrig/dialogue"
	"forkrig/kernels"
	"forkrig/kernels/probes"
	"forkrig/search"
)

// A definedCommand is what the definition of the command line says of one subcommand, for the
// scripts of completion and for the manual page.
type definedCommand struct {
	name, usage string
	synopses    []string // the ways to call it
	examples    []string
	description string
	flags       []definedFlag
	words       []string // known first arguments
	files       bool     // its arguments are files
	server      bool     // a command follows "--"
}

// A definedFlag is one flag of a subcommand.
type definedFlag struct {
	name, placeholder, usage string // placeholder is "" for a flag without a value
	shown                    string // the default, as help shows it
	words                    []string
	list                     bool // the value is words with commas between them
	files                    bool // the value is a file
}

// defined returns the subcommands that are not hidden, in the order of help.
func defined(root *cli.Command) []definedCommand {
	var all []definedCommand
	for _, c := range root.Commands {
		if c.Hidden {
			continue
		}
		synopses, examples, _ := strings.Cut(c.UsageText, "\n\n")
		d := definedCommand{name: c.Name, usage: c.Usage, description: c.Description, synopses: strings.Split(synopses, "\n"),
			files: strings.Contains(c.ArgsUsage, ".json") || strings.Contains(c.ArgsUsage, "CARD"), server: strings.Contains(c.UsageText, "-- COMMAND")}
		if examples != "" {
			d.examples = strings.Split(examples, "\n")
		}
		for _, line := range d.synopses {
			// "forkrig kernels fetch", "forkrig completion bash|zsh|fish"
			if words := strings.Fields(line); len(words) > 2 && literal.MatchString(words[2]) {
				d.words = append(d.words, strings.Split(words[2], "|")...)
			}
		}
		for _, f := range c.Flags {
			if g, ok := f.(*cli.GenericFlag); ok && !g.Hidden {
				d.flags = append(d.flags, defineFlag(g))
			}
		}
		all = append(all, d)
	}
	for i := range all {
		if all[i].name == "help" {
			for _, d := range all {
				all[i].words = append(all[i].words, d.name)
			}
		}
	}
	return all
}

// literal is a word that is typed as it stands, or several such words to choose from.
var literal = regexp.MustCompile(`^[a-z]+(\|[a-z]+)*$`)

func defineFlag(g *cli.GenericFlag) definedFlag {
	d := definedFlag{name: g.Name}
	d.placeholder, d.usage = flag.UnquoteUsage(&flag.Flag{Name: g.Name, Usage: g.Usage, Value: g.Value})
	if b, ok := g.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		d.placeholder = ""
	}
	if !g.HideDefault {
		d.shown = g.DefaultText
	}
	d.words, d.list, d.files = knownValues(d.placeholder)
	return d
}

// choice is one of several values, such as the "4" of "4|6".
var choice = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// knownValues says what stands for a placeholder: words, a list of words, or a file.
func knownValues(placeholder string) (words []string, list, files bool) {
	switch placeholder {
	case "CHECKS":
		for _, c := range checks.All() {
			words = append(words, c.Name)
		}
		return words, true, false
	case "PROBES":
		for _, p := range probes.All() {
			words = append(words, p.ID)
		}
		return words, true, false
	case "KERNELS":
		return append(slices.Clone(kernels.Defaults), "all"), true, false
	case "ACTIONS":
		for v := search.Connect + 1; ; v++ { // no story is without connections
			name, err := v.MarshalText()
			if err != nil {
				return words, true, false
			}
			words = append(words, string(name))
		}
	case "SIGNALS":
		for s := unix.Signal(1); s < 32; s++ {
			if name := strings.TrimPrefix(unix.SignalName(s), "SIG"); name != "" && s != unix.SIGKILL && s != unix.SIGSTOP {
				words = append(words, name)
			}
		}
		return words, true, false
	}
	if lower := strings.ToLower(placeholder); lower == placeholder && strings.Contains(lower, ",") { // probes,binds,card
		return strings.Split(placeholder, ","), true, false
	}
	for _, one := range strings.Split(placeholder, "|") {
		switch {
		case one == "PRESET":
			for _, preset := range dialogue.Presets() {
				words = append(words, preset.Name)
			}
		case strings.Contains(one, "FILE") || strings.Contains(one, "DIR"):
			files = true
		case strings.Contains(placeholder, "|") && choice.MatchString(one) && one != "DIALOGUE":
			words = append(words, one)
		}
	}
	return words, false, files
}
