#!/bin/sh
# inetd.sh IP PORT: OpenBSD's inetd in the foreground, with one service: cat.
set -eu
ip=$1 port=$2
case $ip in *:*) host=[$ip] protocol=tcp6 ;; *) host=$ip protocol=tcp4 ;; esac
dir=$(mktemp -d)

# The number after nowait is how many connections a minute there may be: inetd turns a service
# off for 10 minutes after more. The default is 256.
echo "$host:$port stream $protocol nowait.100000 $(id -un) $(command -v cat) cat" >"$dir/inetd.conf"
exec inetd -i "$dir/inetd.conf"
