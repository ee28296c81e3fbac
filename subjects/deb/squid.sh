#!/bin/sh
# squid.sh IP PORT: Squid without a cache on disk.
. "${0%/*}/start.sh"
chmod 777 "$dir"
cat >"$dir/conf" <<CONF
http_port $host:$port
pid_filename none
cache_log /dev/null
access_log none
coredump_dir $dir
cache_effective_user proxy
netdb_filename none
pinger_enable off
shutdown_lifetime 1 second
http_access deny all
CONF
exec squid -N -f "$dir/conf"
