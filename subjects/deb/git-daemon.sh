#!/bin/sh
# git-daemon.sh IP PORT: git's daemon with one empty repository. It starts again as git-daemon,
# and git stays as a parent, unless the program is called itself.
. "${0%/*}/start.sh"
git init -q --bare "$dir/empty.git"
exec "$(git --exec-path)/git-daemon" --reuseaddr --export-all --base-path="$dir" --listen="$ip" --port="$port" \
	--max-connections=0 --log-destination=stderr --verbose
