// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"forkrig/checks"
	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
)

// describe completes the description of the server that is meant.
func (o *Options) describe() (err error) {
	if !o.foreign() {
		o.judged = BuiltIn()
		return nil
	}
	o.judged.Command, o.judged.Dir, o.judged.Port = o.command, rig.FromInvoker("."), uint16(o.port)
	if len(o.command) == 0 {
		if o.judged.Command, err = judge.SplitWords(o.subject); err != nil {
			return fmt.Errorf("-subject: %w", err)
		}
	}
	if o.port > 65535 {
		return fmt.Errorf("-port %d: give one from 1 to 65535", o.port)
	}
	if err := rig.CheckUser(o.judged.User); err != nil {
		return fmt.Errorf("-subject-user: %w", err)
	}
	o.judged.ByDesign = nil
	if o.byDesign != "" {
		meant, err := checks.Select(o.byDesign)
		if err != nil {
			return fmt.Errorf("-by-design: %w", err)
		}
		for _, check := range meant {
			o.judged.ByDesign = append(o.judged.ByDesign, check.Name)
		}
	}
	if o.vanishing && !slices.Contains(o.judged.ByDesign, "vanished-client") {
		o.judged.ByDesign = append(o.judged.ByDesign, "vanished-client")
	}
	if o.judged.Service, err = resolveService(o.service); err != nil {
		return err
	}
	if o.judged.StormSignals, err = parseSignals(o.storm); err != nil {
		return fmt.Errorf("-storm-signals: %w", err)
	}
	if o.judged.Reload, err = parseReload(o.reload); err != nil {
		return fmt.Errorf("-reload: %w", err)
	}
	return o.judged.Check()
}

// resolveService reads the value of -service. [dialogue.Auto] is the zero value.
func resolveService(written string) (dialogue.Service, error) {
	if name, file := strings.CutPrefix(written, "@"); file {
		text, err := readDialogue(rig.FromInvoker(name))
		if err != nil {
			return dialogue.Service{}, fmt.Errorf("-service @%s: %w", name, err)
		}
		written = text
	}
	if strings.TrimSpace(written) == dialogue.Auto {
		return dialogue.Service{}, nil
	}
	service, err := dialogue.Resolve(written)
	if err != nil {
		return service, fmt.Errorf("-service: %w", err)
	}
	return service, nil
}

func readDialogue(name string) (string, error) {
	const maxBytes = 1 << 20
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxBytes {
		return "", errors.New("this is not a file with a dialogue: give a regular file of at most 1 MiB")
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

// BuiltIn is the reference server as a subject, with further arguments. The program
// contains it as the helper program "server".
func BuiltIn(args ...string) judge.Subject {
	return judge.Subject{
		Command: rig.Program("server", append([]string{"-listen", "{ip}:{port}"}, args...)...).Args,
		Service: dialogue.MustResolve("echo"), Closes: judge.Client,
		StormSignals: []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2},
		Reload:       judge.Reload{Signal: syscall.SIGHUP},
	}
}

// parseReload reads the name of a signal or a command.
func parseReload(text string) (judge.Reload, error) {
	words, err := judge.SplitWords(text)
	if len(words) != 1 || strings.Contains(text, "{pid}") {
		return judge.Reload{Command: words}, err
	}
	signals, err := parseSignals(words[0])
	if err != nil || len(signals) != 1 {
		return judge.Reload{}, cmp.Or(err, errors.New("give one signal"))
	}
	return judge.Reload{Signal: signals[0]}, nil
}

// parseSignals reads names such as USR1 or SIGUSR1, separated by commas.
func parseSignals(list string) ([]syscall.Signal, error) {
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
			return nil, errors.New("SIGKILL and SIGSTOP cannot be caught: " +
				"give signals that a process can catch, such as USR1")
		}
		found = append(found, signal)
	}
	return found, nil
}
