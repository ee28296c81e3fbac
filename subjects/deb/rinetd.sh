#!/bin/sh
# rinetd.sh IP PORT: forwards to a port on which nobody listens.
. "${0%/*}/start.sh"
echo "$ip $port 127.0.0.1 1" >"$dir/conf"
exec rinetd -f -c "$dir/conf"
