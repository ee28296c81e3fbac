#!/bin/sh
# inetd.sh IP PORT: OpenBSD's inetd in the foreground, with one service: cat.
. "${0%/*}/start.sh"

# The number after nowait is how many connections a minute there may be: inetd turns a service
# off for 10 minutes after more. The default is 256.
echo "$host:$port stream tcp$family nowait.100000 $(id -un) $(command -v cat) cat" >"$dir/inetd.conf"
exec inetd -i "$dir/inetd.conf"
