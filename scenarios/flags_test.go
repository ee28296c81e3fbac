package scenarios

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"forkrig/checks"
	"forkrig/judge"
	"forkrig/rig"
)

// The flags of the scorecard. They stand on go test's own command line, after
// the packages.
var (
	subjectFlag = flag.String("subject", os.Getenv("FORKRIG_SUBJECT"),
		"judge the server that `COMMAND` starts, in which {ip} and {port} (also {host}, in brackets for IPv6, and {family}, 4 or 6) are replaced;\n"+
			"without it, the built-in one (environment: FORKRIG_SUBJECT)")
	serviceFlag  = flag.String("service", string(judge.Echo), "what the subject does with bytes: `echo|upper|none`; none looks at connections alone")
	closesFlag   = flag.String("closes", string(judge.Client), "who closes a connection first: `client|server`")
	portFlag     = flag.Uint("port", 0, "the `port` that is built into the subject, instead of a {port} in its command")
	userFlag     = flag.String("subject-user", "", "run the subject as the user of this `name` or number (needs root)")
	readyFlag    = flag.Duration("ready", 10*time.Second, "how long the subject may take until it listens")
	onTermFlag   = flag.String("on-term", "", "what SIGTERM should do to workers that still converse: `drain|kill|leave`; without it, what it does is reported")
	stormFlag    = flag.String("storm-signals", "", "further `signals` that the subject should survive, such as HUP,USR1")
	vanishedFlag = flag.Bool("keeps-vanished", false, "the subject keeps the workers of vanished clients by design")
	checksFlag   = flag.String("checks", "", "make these `checks` only, such as reap,eintr-accept; list prints them all")
	cardFlag     = flag.String("scorecard", "", "write the scorecard as JSON to this `file`, and as Markdown beside it")
	listFlag     = flag.Bool("list", false, "print the checks with their meaning and exit (with go test: -args -list)")
)

// asked says whether a person asked for a scorecard, which then is printed.
func asked() bool { return *subjectFlag != "" || *checksFlag != "" || *cardFlag != "" }

// suite is the tests with the flags looked at first.
type suite struct{ *testing.M }

// Run lists the checks, refuses wrong flags with one line, or runs the tests. A
// foreign subject is what the scorecard is for; the other scenarios are about the
// built-in server and are left out then.
func (s suite) Run() int {
	flag.Parse()
	if *listFlag || *checksFlag == "list" {
		for _, check := range checks.All() {
			fmt.Fprintf(rig.Announce(), "%-18s %s\n", check.Name, check.Meaning)
		}
		return 0
	}
	_, _, err := order()
	if err == nil {
		err = checkFlags()
	}
	if err == nil {
		err = chooseSearch()
	}
	if err == nil && asked() {
		err = chooseScorecard()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %v\n", err)
		return 2
	}
	return s.M.Run()
}

// checkFlags refuses flags that would be without effect, so that a mistake does
// not look like a subject that is right.
func checkFlags() error {
	if value, set := os.LookupEnv("FORKRIG_SUBJECT"); set && value == "" {
		return errors.New("FORKRIG_SUBJECT is empty: give a command, or unset it to judge the built-in server")
	}
	if flag.NArg() > 0 {
		return fmt.Errorf("%q is no flag: quote the whole command after -subject", flag.Arg(0))
	}
	if strings.EqualFold(filepath.Ext(*cardFlag), ".md") {
		return fmt.Errorf("-scorecard %s: this is the name of the JSON; the Markdown is written beside it", *cardFlag)
	}
	var err error
	flag.Visit(func(f *flag.Flag) {
		switch {
		case f.Name == "subject" && f.Value.String() == "":
			err = errors.New("-subject is empty: give a command, or leave it out to judge the built-in server")
		case *subjectFlag == "" && slices.Contains(subjectFlags, f.Name):
			err = fmt.Errorf("-%s says something about a subject, and there is none: give -subject, too", f.Name)
		}
	})
	return err
}

// subjectFlags are those that say something about the subject.
var subjectFlags = []string{"service", "closes", "port", "subject-user", "ready", "on-term", "storm-signals", "keeps-vanished", "at-once"}

// chooseScorecard makes the scorecard the test that runs, with one seed for all
// checks, and makes sure that it can be written before anything is judged.
func chooseScorecard() error {
	if run := flag.Lookup("test.run"); run.Value.String() == "" {
		if err := run.Value.Set("^TestScorecard$"); err != nil {
			return fmt.Errorf("choose the scorecard: %w", err)
		}
	}
	if os.Getenv(rig.SeedEnv) == "" {
		if err := os.Setenv(rig.SeedEnv, fmt.Sprint(rand.Uint64())); err != nil {
			return fmt.Errorf("set the seed: %w", err)
		}
	}
	if *cardFlag == "" {
		return nil
	}
	name := rig.FromInvoker(*cardFlag)
	_, missing := os.Stat(name)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("-scorecard: %w", err)
	}
	if err := file.Close(); err != nil || missing == nil {
		return err
	}
	return os.Remove(name) // no empty card is left by a run that does not come to an end
}

// order is what the flags ask for.
func order() (judge.Subject, []judge.Check, error) {
	selected, err := checks.Select(*checksFlag)
	if err != nil {
		return judge.Subject{}, nil, fmt.Errorf("-checks: %w", err)
	}
	subject := builtIn()
	if *subjectFlag != "" {
		subject.StormSignals, subject.Dir = nil, rig.FromInvoker(".")
		if subject.Command, err = judge.SplitWords(*subjectFlag); err != nil {
			return subject, nil, fmt.Errorf("-subject: %w", err)
		}
	}
	if *portFlag > 65535 {
		return subject, nil, fmt.Errorf("-port %d: give one from 1 to 65535", *portFlag)
	}
	subject.Service, subject.Closes, subject.Port = judge.Service(*serviceFlag), judge.Side(*closesFlag), uint16(*portFlag)
	subject.User, subject.Ready, subject.OnTerm = *userFlag, *readyFlag, judge.Policy(*onTermFlag)
	subject.KeepsVanished = *vanishedFlag
	named, err := signals(*stormFlag)
	if err != nil {
		return subject, nil, fmt.Errorf("-storm-signals: %w", err)
	}
	subject.StormSignals = append(subject.StormSignals, named...)
	return subject, selected, subject.Check()
}

// builtIn is the reference server as a subject.
func builtIn(args ...string) judge.Subject {
	return judge.Subject{
		Command: rig.Program("server", append([]string{"-listen", "{ip}:{port}"}, args...)...).Args,
		Service: judge.Echo, Closes: judge.Client,
		StormSignals: []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2},
	}
}

// signals reads names such as USR1 or SIGUSR1, separated by commas.
func signals(list string) ([]syscall.Signal, error) {
	var found []syscall.Signal
	for name := range strings.SplitSeq(list, ",") {
		name = strings.ToUpper(strings.TrimSpace(name))
		if name == "" {
			continue
		}
		signal := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
		switch signal {
		case 0:
			return nil, fmt.Errorf("there is no signal %q: give names of signal(7), such as USR1", name)
		case syscall.SIGKILL, syscall.SIGSTOP:
			return nil, errors.New("nobody survives SIGKILL, and SIGSTOP is sent anyway: name a signal that can be caught")
		}
		found = append(found, signal)
	}
	return found, nil
}

// given returns the value of a flag that was set, also by its environment variable.
func given(name string) (value string, set bool) {
	f := flag.Lookup(name)
	return f.Value.String(), f.Value.String() != f.DefValue || name == "subject" && f.DefValue != ""
}
