#!/bin/sh
# webfs.sh IP PORT: a small HTTP server, an event loop.
. "${0%/*}/start.sh"
echo ok >"$dir/index.html"
exec webfsd -F -i "$ip" -p "$port" -r "$dir" -f index.html
