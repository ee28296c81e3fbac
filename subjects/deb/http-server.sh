#!/bin/sh
# http-server.sh IP PORT: Python's http.server, a thread for each connection, which logs to stderr.
. "${0%/*}/start.sh"
echo ok >"$dir/index.html"
exec /usr/bin/python3 -m http.server --bind "$ip" --directory "$dir" "$port"
