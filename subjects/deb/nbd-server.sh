#!/bin/sh
# nbd-server.sh IP PORT: a network block device of 1 MiB. The server goes into the background.
. "${0%/*}/start.sh"
truncate -s 1M "$dir/disk"
cat >"$dir/conf" <<CONF
[generic]
listenaddr = $ip
port = $port
[disk]
exportname = $dir/disk
CONF
exec nbd-server -C "$dir/conf" -p "$dir/pid"
