#!/bin/sh
# tinyproxy.sh IP PORT: a thread for each connection; 100 clients by default.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
Listen $ip
Port $port
Timeout 600
MaxClients 1000
StatHost "stats"
CONF
exec tinyproxy -d -c "$dir/conf"
