#!/bin/sh
# twisted.sh IP PORT: Twisted's web server.
. "${0%/*}/start.sh"
echo ok >"$dir/index.html"
exec twistd3 --nodaemon --pidfile= --rundir="$dir" web --listen="tcp:$port:interface=$(echo "$ip" | sed 's/:/\\:/g')" --path="$dir"
