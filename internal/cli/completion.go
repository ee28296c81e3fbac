// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// completion prints a script for a shell. The scripts of the command line library start the program
// at each TAB and evaluate what was typed so far, $(…) in the subject's command as well; these
// contain all words and start nothing.
func (p *program) completion() *cli.Command {
	scripts := map[string]func([]definedCommand) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	c := p.plain("completion", "print the script that completes commands, flags and their values in a shell", "bash|zsh|fish", 1, 1,
		func(args []string) (int, error) {
			script, ok := scripts[args[0]]
			if !ok {
				return statusUsage, fmt.Errorf("there is no completion for %q: give bash, zsh or fish", args[0])
			}
			fmt.Fprint(p.out, script(defined(p.command())))
			return statusRight, nil
		})
	c.Description = "bash:  source <(forkrig completion bash)\n" +
		"zsh:   forkrig completion zsh >DIR/_forkrig, where DIR is one of $fpath\n" +
		"fish:  forkrig completion fish >~/.config/fish/completions/forkrig.fish"
	return c
}

// shortUsage is the first clause of what a flag or a command is for.
func shortUsage(usage string) string {
	for _, end := range []string{": ", "; ", " (", "\n"} {
		usage, _, _ = strings.Cut(usage, end)
	}
	return usage
}

// singleQuoted is a text as one word of bash and zsh.
func singleQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// flagWords are the flags of a subcommand as words, -help among them.
func (d definedCommand) flagWords() []string {
	words := []string{"-help"}
	for _, f := range d.flags {
		words = append(words, "-"+f.name)
	}
	slices.Sort(words)
	return words
}

func names(commands []definedCommand) []string {
	var all []string
	for _, d := range commands {
		all = append(all, d.name)
	}
	return all
}

// bashCompletion needs bash 4, and not the package bash-completion. Where that is there, it
// completes the subject's command.
func bashCompletion(commands []definedCommand) string {
	var flags, values, words strings.Builder
	for _, d := range commands {
		line := d.flagWords()
		if d.server {
			line = append(line, "--")
		}
		fmt.Fprintf(&flags, "\t%s) flags='%s' ;;\n", d.name, strings.Join(line, " "))
		if len(d.words) > 0 {
			fmt.Fprintf(&words, "\t%s) words='%s' ;;\n", d.name, strings.Join(d.words, " "))
		}
		for _, f := range d.flags {
			if f.placeholder == "" {
				continue
			}
			list := ""
			if f.list {
				list = " list=yes"
			}
			fmt.Fprintf(&values, "\t%s:-%s) value=yes%s words='%s' ;;\n", d.name, f.name, list, strings.Join(f.words, " "))
		}
	}
	return fmt.Sprintf(bashScript, strings.Join(names(commands), " "), values.String(), flags.String(), words.String())
}

// Words without a known value are left to the files of "complete -o default".
const bashScript = `# completion script of forkrig for bash: forkrig completion bash
# shellcheck disable=SC2207 # no known word has a blank
_forkrig() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local command=${COMP_WORDS[1]} flag='' begin='' value='' list='' words='' flags='' i
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W '%s' -- "$cur"))
		return
	fi
	# What follows -- is the subject's command.
	for ((i = 2; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -- ]] || continue
		if declare -F _comp_command_offset >/dev/null; then
			_comp_command_offset $((i + 1))
		elif declare -F _command_offset >/dev/null; then
			_command_offset $((i + 1))
		elif ((i + 1 == COMP_CWORD)); then
			COMPREPLY=($(compgen -c -- "$cur"))
		fi
		return
	done
	# bash takes = for a word of its own, unless COMP_WORDBREAKS lacks it.
	if [[ $cur == = ]]; then
		flag=$prev cur=''
	elif [[ $prev == = ]]; then
		flag=${COMP_WORDS[COMP_CWORD-2]}
	elif [[ $cur == -*=* ]]; then
		flag=${cur%%%%=*} begin=${cur%%%%=*}= cur=${cur#*=}
	elif [[ $prev == -* ]]; then
		flag=$prev
	fi
	[[ $flag != --* ]] || flag=${flag#-}
	case $command:$flag in
%s	esac
	if [[ $value ]]; then
		if [[ $list && $cur == *,* ]]; then
			begin+=${cur%%,*},
			cur=${cur##*,}
		fi
		COMPREPLY=($(compgen -P "$begin" -W "$words" -- "$cur"))
		[[ ! $list ]] || compopt -o nospace 2>/dev/null
		return
	fi
	case $command in
%s	esac
	case $command in
%s	esac
	if [[ $cur == --?* ]]; then
		flags=" $flags" flags=${flags// -/ --}
	fi
	if [[ $cur == -* ]]; then
		words=$flags
	elif ((COMP_CWORD > 2)); then
		words=''
	fi
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o bashdefault -o default -F _forkrig forkrig
`

// zshCompletion is a file for $fpath, and works with source, too.
func zshCompletion(commands []definedCommand) string {
	escape := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`)
	var described, cases strings.Builder
	for _, d := range commands {
		fmt.Fprintf(&described, "\t\t%s\n", singleQuoted(d.name+":"+escape.Replace(shortUsage(d.usage))))
		fmt.Fprintf(&cases, "\t%s)\n\t\t_arguments -S '-help[show help]'", d.name)
		for _, f := range d.flags {
			spec := fmt.Sprintf("-%s[%s]", f.name, escape.Replace(shortUsage(f.usage)))
			if f.placeholder != "" {
				spec = fmt.Sprintf("-%s=[%s]:%s:", f.name, escape.Replace(shortUsage(f.usage)), escape.Replace(f.placeholder))
				switch {
				case f.list:
					spec += "_sequence compadd - " + strings.Join(f.words, " ")
				case f.files && len(f.words) == 0:
					spec += "_files"
				case len(f.words) > 0:
					spec += "(" + strings.Join(f.words, " ") + ")"
				}
			}
			fmt.Fprintf(&cases, " \\\n\t\t\t%s", singleQuoted(strings.ReplaceAll(spec, "\n", " ")))
		}
		switch {
		case d.files:
			cases.WriteString(" \\\n\t\t\t'*:file:_files'")
		case len(d.words) > 0:
			fmt.Fprintf(&cases, " \\\n\t\t\t'1:word:(%s)'", strings.Join(d.words, " "))
		}
		cases.WriteString(" ;;\n")
	}
	return fmt.Sprintf(zshScript, described.String(), cases.String())
}

const zshScript = `#compdef forkrig
# completion script of forkrig for zsh: forkrig completion zsh
_forkrig() {
	# What follows -- is the subject's command.
	local -i dashes=${words[(i)--]}
	if ((dashes < CURRENT)); then
		words=("${(@)words[dashes+1,-1]}")
		((CURRENT -= dashes))
		_normal
		return
	fi
	local context state state_descr line
	typeset -A opt_args
	local -a commands=(
%s	)
	_arguments -C '1: :->command' '*:: :->argument'
	if [[ $state == command ]]; then
		_describe command commands
		return
	fi
	case $line[1] in
%s	esac
}
if [[ $funcstack[1] == _forkrig ]]; then
	_forkrig "$@"
else
	compdef _forkrig forkrig
fi
`

// fishCompletion is a file for the directory of completions, and works with source, too.
func fishCompletion(commands []definedCommand) string {
	quoted := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", " ").Replace(text) + "'"
	}
	var lines strings.Builder
	for _, d := range commands {
		fmt.Fprintf(&lines, "complete -c forkrig -n __forkrig_no_command -a %s -d %s\n", d.name, quoted(shortUsage(d.usage)))
		in := fmt.Sprintf("-n '__forkrig_in %s'", d.name)
		fmt.Fprintf(&lines, "complete -c forkrig %s -o help -d 'show help'\n", in)
		for _, f := range d.flags {
			values := ""
			switch words := strings.Join(f.words, " "); {
			case f.placeholder == "":
			case f.list:
				values = " -x -a " + quoted(fmt.Sprintf(`(__fish_complete_list , "printf '%%s\n' %s")`, words))
			case f.files:
				values = " -r -F"
				if words != "" {
					values += " -a " + quoted(words)
				}
			default:
				values = " -x"
				if words != "" {
					values += " -a " + quoted(words)
				}
			}
			fmt.Fprintf(&lines, "complete -c forkrig %s -o %s%s -d %s\n", in, f.name, values, quoted(shortUsage(f.usage)))
		}
		switch {
		case len(d.words) > 0:
			fmt.Fprintf(&lines, "complete -c forkrig %s -a %s\n", in, quoted(strings.Join(d.words, " ")))
		case d.files:
			fmt.Fprintf(&lines, "complete -c forkrig %s -F\n", in)
		}
	}
	return fishScript + lines.String()
}

const fishScript = `# completion script of forkrig for fish: forkrig completion fish
function __forkrig_no_command
	test (count (commandline -opc)) -eq 1
end
function __forkrig_in
	set -l words (commandline -opc)
	test (count $words) -ge 2; and test $words[2] = $argv[1]; and not contains -- -- $words
end
function __forkrig_after_dashes
	contains -- -- (commandline -opc)
end
# __forkrig_subject completes the subject's command, which follows --.
function __forkrig_subject
	set -l words (commandline -opc)
	set -l after (math (contains -i -- -- $words) + 1)
	set -l command
	if test (count $words) -ge $after
		set command (string escape -- $words[$after..-1])
	end
	complete -C (string join ' ' -- $command (commandline -ct))
end
complete -c forkrig -f
complete -c forkrig -n __forkrig_after_dashes -x -a '(__forkrig_subject)'
`
