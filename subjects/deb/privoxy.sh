#!/bin/sh
# privoxy.sh IP PORT: a proxy, a thread for each connection.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
confdir $dir
logdir $dir
listen-address $host:$port
max-client-connections 1000
CONF
exec privoxy --no-daemon "$dir/conf"
