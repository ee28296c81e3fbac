#!/bin/sh
# svnserve.sh IP PORT: Subversion's server, a process for each connection.
. "${0%/*}/start.sh"
exec svnserve --daemon --foreground --root "$dir" --listen-host "$ip" --listen-port "$port" --log-file "$dir/log"
