#!/bin/sh
# rsync.sh IP PORT: rsync's daemon in the foreground.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
address = $ip
port = $port
pid file = $dir/pid
log file = /dev/stderr
reverse lookup = no
use chroot = no
[empty]
path = $dir
CONF
exec rsync --daemon --no-detach --config="$dir/conf"
