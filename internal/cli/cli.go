// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of forkrig: its subcommands, its flags and its screens.
// It knows nothing of sockets. Package judge judges, package search searches, package
// scorecard writes.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"forkrig/rig"
)

// Main is the whole program. It dispatches the helper programs that this binary
// contains, parses the arguments, runs the subcommand, in a sandbox where it needs one,
// and returns the exit status.
func Main(args []string, programs rig.Programs) int {
	rig.Dispatch(programs)
	status := statusRight
	err := command(&status).Run(context.Background(), args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %s\n", strings.TrimPrefix(err.Error(), "forkrig: "))
		return max(status, statusUsage)
	}
	return status
}

func init() {
	cli.FlagStringer = describeFlag
}

// describeFlag is a flag in help: it has one dash, as in the README. The parser takes two
// as well.
func describeFlag(f cli.Flag) string {
	g, ok := f.(*cli.GenericFlag)
	if !ok { // that of the library itself
		return "-" + strings.Join(f.Names(), ", -") + "\tshow help"
	}
	placeholder, usage := flag.UnquoteUsage(&flag.Flag{Name: g.Name, Usage: g.Usage, Value: g.Value})
	if b, ok := g.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		placeholder = ""
	}
	if !g.HideDefault {
		usage += " (default: " + g.DefaultText + ")"
	}
	return strings.TrimSpace("-"+g.Name+" "+placeholder) + "\t" + usage
}

// command is the command line. The status is that of the subcommand that ran.
func command(status *int) *cli.Command {
	usage := func(_ context.Context, _ *cli.Command, err error, _ bool) error {
		*status = statusUsage
		return err
	}
	root := &cli.Command{
		Name:  "forkrig",
		Usage: "tell whether a server's socket behaviour is right",
		UsageText: "forkrig judge [flags] -- COMMAND…\n\n" +
			"forkrig judge -- socat TCP{family}-LISTEN:{port},bind={host},fork EXEC:cat\n" +
			"forkrig judge -checks reap,term -scorecard card.json -- ./server -listen {ip}:{port}\n" +
			"forkrig search -soak 10m -- ./server -listen {ip}:{port}",
		Description: "forkrig starts a server and its clients on hosts of their own (network namespaces), applies faults,\n" +
			"and checks by what the kernel shows that the server behaves right. Exit status: 0 right, 1 a check failed\n" +
			"or is broken, 2 the command line is wrong, 3 the rig could not run.",
		EnableShellCompletion: true,
		Suggest:               false,
		HideHelpCommand:       true,
		OnUsageError:          usage,
		ExitErrHandler:        func(context.Context, *cli.Command, error) {},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				*status = statusUsage
				return fmt.Errorf("there is no command %q: forkrig -help lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
	run := func(f func(c *cli.Command) (int, error)) cli.ActionFunc {
		return func(_ context.Context, c *cli.Command) (err error) {
			*status, err = f(c)
			return err
		}
	}
	root.Commands = []*cli.Command{
		judgeCommand(run), searchCommand(run), replayCommand(run),
		{
			Name: "list", Usage: "print the checks and what they mean", UsageText: "forkrig list",
			Action: run(func(c *cli.Command) (int, error) {
				if err := withoutArguments(c); err != nil {
					return statusUsage, err
				}
				list(os.Stdout)
				return statusRight, nil
			}),
		},
		{
			Name: "show", Usage: "print a scorecard", UsageText: "forkrig show CARD.json", ArgsUsage: "CARD.json",
			Action: run(func(c *cli.Command) (int, error) {
				if c.NArg() != 1 {
					return statusUsage, errors.New("show: give one scorecard, as judge -scorecard FILE writes it")
				}
				return show(os.Stdout, c.Args().First())
			}),
		},
		{
			Name: "diff", Usage: "say what became worse and better from one scorecard to another", UsageText: "forkrig diff OLD.json NEW.json",
			ArgsUsage:   "OLD.json NEW.json",
			Description: "The exit status is 1 if something became worse.",
			Action: run(func(c *cli.Command) (int, error) {
				if c.NArg() != 2 {
					return statusUsage, errors.New("diff: give two scorecards: diff OLD.json NEW.json")
				}
				return diff(os.Stdout, c.Args().Get(0), c.Args().Get(1))
			}),
		},
		{
			Name: "merge", Usage: "merge the scorecards and failing stories of several runs", UsageText: "forkrig merge OUT CARD…",
			ArgsUsage:   "OUT CARD…",
			Description: "OUT is a new directory. Each CARD is a scorecard or a directory in which a run left one.\nThe exit status is 1 if something failed or a shard is missing.",
			Action: run(func(c *cli.Command) (int, error) {
				args := c.Args().Slice()
				if len(args) == 0 {
					args = []string{""}
				}
				return Merge(os.Stdout, args[0], args[1:])
			}),
		},
		{
			Name: "doctor", Usage: "say what this machine lacks, what that costs, and what to do", UsageText: "forkrig doctor",
			Action: run(func(c *cli.Command) (int, error) {
				if err := withoutArguments(c); err != nil {
					return statusUsage, err
				}
				return examineMachine(os.Stdout), nil
			}),
		},
		{
			Name: "version", Usage: "print the version", UsageText: "forkrig version",
			Action: run(func(c *cli.Command) (int, error) {
				fmt.Println(version())
				return statusRight, nil
			}),
		},
	}
	for _, c := range root.Commands {
		c.OnUsageError = usage
		c.HideHelpCommand = true
	}
	return root
}

// runner makes the action of a subcommand of a function that returns the exit status.
type runner func(func(c *cli.Command) (int, error)) cli.ActionFunc

func judgeCommand(run runner) *cli.Command {
	o := &Options{program: os.Args[0]}
	return &cli.Command{
		Name:      "judge",
		Usage:     "judge a server by its socket behaviour",
		ArgsUsage: "-- COMMAND…",
		UsageText: "forkrig judge [flags] -- COMMAND…\n\n" +
			"forkrig judge -- socat TCP{family}-LISTEN:{port},bind={host},fork EXEC:cat\n" +
			"forkrig judge -service none -port 5432 -subject-user postgres -- /usr/lib/postgresql/15/bin/postgres -D DIR\n" +
			"forkrig judge -checks reap,term -family 6 -v -- ./server -listen {ip}:{port}",
		Description: "In the command {ip} is replaced by the address, {port} by the port, {host} by the address in brackets\n" +
			"for IPv6, {family} by 4 or 6. Without a command the built-in server is judged.",
		Flags: flagsOf(o.subjectFlags, o.trialFlags, o.programFlags),
		Action: run(func(c *cli.Command) (int, error) {
			if o.checks == "list" {
				list(os.Stdout)
				return statusRight, nil
			}
			o.command = c.Args().Slice()
			if err := checkSeparator(o.command); err != nil {
				return statusUsage, err
			}
			if err := o.check(); err != nil {
				return statusUsage, err
			}
			return inSandbox(func(tb rig.TB) int { return o.Judge(tb, os.Stdout) }), nil
		}),
	}
}

func searchCommand(run runner) *cli.Command {
	o := &Options{program: os.Args[0]}
	return &cli.Command{
		Name:      "search",
		Usage:     "search for a random story of faults that the server does not survive",
		ArgsUsage: "-- COMMAND…",
		UsageText: "forkrig search [flags] -- COMMAND…\n\n" +
			"forkrig search -schedules 1000 -- ./server -listen {ip}:{port}\n" +
			"forkrig search -soak 10m -soak-dir found -shard 0/4 -- ./server -listen {ip}:{port}",
		Description: "Without -schedules and -soak it plays 25 stories for each way in which the server runs.\nWithout a command it tests the built-in server.",
		Flags: flagsOf(o.subjectFlags, o.searchFlags, func(f *flag.FlagSet) {
			f.DurationVar(&o.within, "within", 0, "end the search after this `TIME`")
			o.note(f)
		}),
		Action: run(func(c *cli.Command) (int, error) {
			o.command = c.Args().Slice()
			if err := checkSeparator(o.command); err != nil {
				return statusUsage, err
			}
			if err := o.check(); err != nil {
				return statusUsage, err
			}
			return inSandbox(func(tb rig.TB) int { return o.Search(tb, os.Stdout) }), nil
		}),
	}
}

func replayCommand(run runner) *cli.Command {
	o := &Options{program: os.Args[0]}
	return &cli.Command{
		Name:      "replay",
		Usage:     "play a failing story again",
		ArgsUsage: "STORY.json [-- COMMAND…]",
		UsageText: "forkrig replay STORY.json\nforkrig replay STORY.json -- COMMAND…",
		Description: "STORY.json is a file that forkrig search wrote to its -soak-dir. The story is played at COMMAND,\n" +
			"or without it at the subject that the story names.",
		Flags: flagsOf(o.subjectFlags),
		Action: run(func(c *cli.Command) (int, error) {
			if c.NArg() == 0 {
				return statusUsage, errors.New("replay: give the file of a story, such as soak/story-12.json")
			}
			o.replay, o.command = c.Args().First(), c.Args().Tail()
			if err := checkSeparator(o.command); err != nil {
				return statusUsage, err
			}
			if err := o.check(); err != nil {
				return statusUsage, err
			}
			story, err := readStory(o.replay)
			if err != nil {
				return statusUsage, err
			}
			return inSandbox(func(tb rig.TB) int { return o.Replay(tb, os.Stdout, story) }), nil
		}),
	}
}

// checkSeparator refuses a command line with -- and no command after it, as an empty
// variable makes one: the built-in server must not be judged instead.
func checkSeparator(command []string) error {
	if len(command) == 0 && slices.Contains(os.Args, "--") {
		return errors.New("the command after -- is empty: give the subject's command, or omit -- to mean the built-in server")
	}
	return nil
}

// withoutArguments refuses words that would have no effect.
func withoutArguments(c *cli.Command) error {
	if c.NArg() > 0 {
		return fmt.Errorf("%s takes no arguments: omit %q", c.Name, c.Args().First())
	}
	return nil
}

// inSandbox calls f in a sandbox and returns the exit status.
func inSandbox(f func(tb rig.TB) int) int {
	status, err := rig.Sandboxed(func() int {
		status := statusUnable
		outcome := rig.Run(context.Background(), "forkrig", func(tb rig.TB) { status = f(tb) })
		if outcome.Failed {
			fmt.Fprintf(os.Stderr, "forkrig: %s", outcome.Log)
			return max(status, statusWrong)
		}
		return status
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %v\n", err)
		return statusUnable
	}
	return status
}

// version is that of the module, with the commit that it was built from where Go noted it.
func version() string {
	text := "forkrig"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		text += " " + v
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		text += " commit " + revision[:min(len(revision), 12)]
		if settings["vcs.modified"] == "true" {
			text += " with changes"
		}
	}
	return fmt.Sprintf("%s (%s, %s/%s)", text, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}
