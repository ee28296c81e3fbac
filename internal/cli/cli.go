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
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"forkrig/internal/doctor"
	"forkrig/rig"
)

// Main is the whole program. It dispatches the helper programs that this binary
// contains, parses the arguments, runs the subcommand, in a sandbox where it needs one,
// and returns the exit status.
func Main(args []string, programs rig.Programs) int {
	rig.Dispatch(programs)
	// Without this the runtime would print all goroutines and end with the status of a wrong
	// command line, also before a run has its handler. SIGABRT still does.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGQUIT)
	p := &program{out: newOutput(os.Stdout)}
	if err := p.command().Run(context.Background(), plainArgs(args)); err != nil {
		complain(err)
		p.status = max(p.status, statusUsage)
	}
	return p.out.status(p.status)
}

// A program is one run of the command line.
type program struct {
	out    *output
	status int // that of the subcommand that ran
}

// run makes the action of a subcommand of a function that returns the exit status.
func (p *program) run(f func(c *cli.Command) (int, error)) cli.ActionFunc {
	return func(_ context.Context, c *cli.Command) (err error) {
		p.status, err = f(c)
		return err
	}
}

// plainArgs has the other ways to ask for help and for the version be one each: "help
// COMMAND", and -help anywhere before "--", which the library would take for a topic.
func plainArgs(args []string) []string {
	end := len(args)
	if i := slices.Index(args, "--"); i >= 0 {
		end = i
	}
	isHelp := func(arg string) bool { return slices.Contains([]string{"-h", "--h", "-help", "--help"}, arg) }
	words := slices.DeleteFunc(slices.Clone(args[min(1, end):end]), isHelp)
	switch {
	case len(words) > 0 && words[0] == "help":
		return append([]string{args[0]}, append(words[1:], "-help")...)
	case slices.ContainsFunc(args[:end], isHelp) && len(words) > 0 && !strings.HasPrefix(words[0], "-"):
		return []string{args[0], words[0], "-help"}
	case len(words) > 0 && slices.Contains([]string{"-version", "--version"}, words[0]):
		return append([]string{args[0], "version"}, words[1:]...)
	}
	return args
}

// plain is a subcommand without flags that takes some arguments.
func (p *program) plain(name, usage, args string, least, most int, f func(args []string) (int, error)) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, UsageText: strings.TrimSpace("forkrig " + name + " " + args), ArgsUsage: args,
		Action: p.run(func(c *cli.Command) (int, error) {
			switch n := c.NArg(); {
			case n > most && most == 0:
				return statusUsage, fmt.Errorf("%s takes no arguments: omit %q", name, c.Args().First())
			case n < least || n > most:
				return statusUsage, fmt.Errorf("the arguments are wrong: forkrig %s %s", name, args)
			}
			return f(c.Args().Slice())
		})}
}

func (p *program) command() *cli.Command {
	usage := func(_ context.Context, c *cli.Command, err error, _ bool) error {
		p.status = statusUsage
		help := "forkrig help"
		if c != c.Root() {
			help += " " + c.Name
		}
		return fmt.Errorf("%w: %s lists the flags and their values", err, help)
	}
	printing := func(print func()) func([]string) (int, error) {
		return func([]string) (int, error) {
			print()
			return statusRight, nil
		}
	}
	root := &cli.Command{
		Name:  "forkrig",
		Usage: "tell whether a server's socket behaviour is right",
		UsageText: "forkrig judge [flags] -- COMMAND…\n\n" +
			"forkrig judge -- socat TCP{family}-LISTEN:{port},bind={host},fork EXEC:cat\n" +
			"forkrig judge -checks reap,term -scorecard card.json -- ./server -listen {ip}:{port}\n" +
			"forkrig search -soak 10m -- ./server -listen {ip}:{port}",
		Description: "forkrig starts a server and its clients on hosts of their own (network namespaces), applies faults,\n" +
			"and asks the kernel whether the server behaves right. Exit status: 0 all is right, 1 a check failed\n" +
			"or is broken, 2 the command line is wrong, 3 no check began (the rig could not run, or the server did not\n" +
			"start) or the output could not be written.",
		Writer:          p.out,
		HideHelpCommand: true,
		OnUsageError:    usage,
		CommandNotFound: func(_ context.Context, _ *cli.Command, name string) { // of help
			p.status = statusUsage
			complain(fmt.Errorf(noCommand, name))
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				p.status = statusUsage
				return fmt.Errorf(noCommand, c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			p.judge(), p.search(), p.replay(), p.kernels(),
			p.plain("list", "print the checks and what they mean", "", 0, 0, printing(func() { list(p.out) })),
			p.plain("show", "print a scorecard that judge -scorecard wrote, or all evidence of one of its checks; or a recording; or a table of kernels",
				"CARD.json [CHECK]", 1, 2, p.out.show),
			p.plain("diff", "say what became worse (exit status 1) and better, between cards or tables of kernels",
				"OLD.json NEW.json", 2, 2, p.out.diff),
			p.merge(),
			p.report(),
			p.plain("doctor", "say what this machine lacks, what that costs, and what to do", "", 0, 0,
				func([]string) (int, error) { return doctor.Main(p.out, p.out.style().Colour), nil }),
			p.plain("version", "print the version", "", 0, 0, printing(func() { fmt.Fprintln(p.out, version()) })),
			p.completion(), p.man(),
			p.plain("help", "list the commands, or describe one", "[COMMAND]", 0, 1, nil), // see plainArgs
		},
	}
	for _, c := range root.Commands {
		c.OnUsageError = usage
		c.HideHelpCommand = true
	}
	return root
}

const noCommand = "there is no command %q: forkrig help lists them"

func (p *program) judge() *cli.Command {
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
			"for IPv6, {family} by 4 or 6, {dir} by a fresh directory for each start. Without {port} and -port, forkrig\n" +
			"detects the port. Without a command it judges the built-in server. It prints each verdict when its check\n" +
			"ends, and then the card: what is wrong, what to do, and a command that repeats the failure.",
		Flags: flagsOf(o, o.subjectFlags, o.trialFlags, o.recordFlag, o.reportFlags, o.programFlags),
		Action: p.run(func(c *cli.Command) (int, error) {
			if o.checks == "list" {
				list(p.out)
				return statusRight, nil
			}
			return o.inSandbox(c.Args().Slice(), p.out, o.judge)
		}),
	}
}

func (p *program) merge() *cli.Command {
	o := &Options{}
	merge := p.plain("merge", "merge scorecards (files, or directories of them with failing stories) into a new directory, or tables of kernels into a new file",
		"OUT CARD…", 2, math.MaxInt, func(args []string) (int, error) {
			if err := o.checkWritten(); err != nil {
				return statusUsage, err
			}
			return p.out.merge(args, o.furtherFiles())
		})
	merge.UsageText = "forkrig merge [-junit FILE] OUT CARD…"
	merge.Flags = flagsOf(o, o.junitFlag)
	return merge
}

func (p *program) search() *cli.Command {
	o := &Options{program: os.Args[0]}
	within := func(f *flag.FlagSet) { f.DurationVar(&o.within, "within", 0, "end the search after this `TIME`") }
	return &cli.Command{
		Name:      "search",
		Usage:     "play random stories of faults and look for one that the server does not survive",
		ArgsUsage: "-- COMMAND…",
		UsageText: "forkrig search [flags] -- COMMAND…\n\n" +
			"forkrig search -schedules 1000 -- ./server -listen {ip}:{port}\n" +
			"forkrig search -soak 10m -soak-dir found -shard 0/4 -- ./server -listen {ip}:{port}",
		Description: "Without -schedules and -soak it plays 25 stories. Without a command it tests the built-in server,\n" +
			"and then plays as many in each of its configurations.",
		Flags:  flagsOf(o, o.subjectFlags, o.searchFlags, o.recordFlag, o.reportFlags, within),
		Action: p.run(func(c *cli.Command) (int, error) { return o.inSandbox(c.Args().Slice(), p.out, o.search) }),
	}
}

func (p *program) report() *cli.Command {
	r := &reporting{}
	return &cli.Command{
		Name:      "report",
		Usage:     "make an HTML page of cards, with pictures of what happened",
		ArgsUsage: "CARD.json|RECORDING.json|STORY.json|KERNELS.json|TABLE.md|DIRECTORY…",
		UsageText: "forkrig report [flags] CARD.json…\n\n" +
			"forkrig report -o page.html old.json new.json\n" +
			"forkrig report -bundle report.tar.gz card.json",
		Description: "The page is one file that needs no network. Several cards stand side by side. A card names the\n" +
			"recordings of its checks: judge -scorecard records those that fail, and judge -record all. The page\n" +
			"can also show stories with a recording, tables of kernels, Markdown with tables, and directories of these.",
		Flags: flagsOf(&r.Options, r.flags),
		Action: p.run(func(c *cli.Command) (int, error) {
			if c.NArg() == 0 {
				return statusUsage, errors.New("report: give a card, a recording, a story, a table of kernels or a directory with some")
			}
			return r.report(c.Args().Slice(), p.out)
		}),
	}
}

func (p *program) replay() *cli.Command {
	o := &Options{program: os.Args[0]}
	return &cli.Command{
		Name:      "replay",
		Usage:     "play a failing story again",
		ArgsUsage: "STORY.json [-- COMMAND…]",
		UsageText: "forkrig replay STORY.json\nforkrig replay STORY.json -- COMMAND…",
		Description: "STORY.json is a file that forkrig search wrote to its -soak-dir. The story is played with the server\n" +
			"that COMMAND starts, or, without COMMAND, with the one that the story names.",
		Flags: flagsOf(o, o.subjectFlags, o.recordFlag),
		Action: p.run(func(c *cli.Command) (int, error) {
			if c.NArg() == 0 {
				return statusUsage, errors.New("replay: give the file of a story, such as soak/story-12.json")
			}
			o.replay = c.Args().First()
			story, err := readStory(o.replay)
			if err != nil {
				return statusUsage, err
			}
			return o.inSandbox(c.Args().Tail(), p.out, o.playing(story))
		}),
	}
}

// checkCommand refuses a command line with -- and no command after it, as an empty variable makes
// one: the built-in server must not be judged instead. It also refuses a flag as the command: the
// library takes -4 for a number, which is no flag.
func checkCommand(command []string) error {
	if len(command) > 0 && strings.HasPrefix(command[0], "-") {
		return fmt.Errorf("flag provided but not defined: %s: forkrig help lists the commands, and forkrig help COMMAND their flags", command[0])
	}
	if len(command) == 0 && slices.Contains(os.Args, "--") {
		return errors.New("the command after -- is empty: give the subject's command, or omit -- to mean the built-in server")
	}
	return nil
}

// inSandbox takes the subject's command, refuses flags that are wrong, calls f in a sandbox, and
// returns the exit status.
func (o *Options) inSandbox(command []string, out *output, f func(rig.TB, *output) int) (status int, err error) {
	if err := checkCommand(command); err != nil {
		return statusUsage, err
	}
	o.command = command
	if err = rig.CheckEnvironment(); err == nil {
		err = o.check()
	}
	if err != nil {
		return statusUsage, err
	}
	status, err = rig.Sandboxed(func() int {
		status := statusUnable
		outcome := rig.Run(context.Background(), "forkrig", func(tb rig.TB) { status = f(tb, out) })
		if outcome.Failed {
			say("forkrig: " + outcome.Log)
			return max(status, statusWrong)
		}
		return status
	})
	if err != nil {
		status = statusUnable
	}
	return status, err
}
