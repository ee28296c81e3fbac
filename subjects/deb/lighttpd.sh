#!/bin/sh
# lighttpd.sh IP PORT: an event loop.
. "${0%/*}/start.sh"
echo ok >"$dir/index.html"
cat >"$dir/conf" <<CONF
server.document-root = "$dir"
server.bind = "$host"
server.port = $port
index-file.names = ( "index.html" )
CONF
exec lighttpd -D -f "$dir/conf"
