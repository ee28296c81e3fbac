#!/bin/sh
# knot.sh IP PORT: Knot DNS without a zone: it refuses every question, over TCP, too. By default it
# ends a connection whose request takes more than half a second.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
server:
    rundir: $dir
    user: $(id -un)
    listen: $ip@$port
    tcp-io-timeout: 60000
database:
    storage: $dir
log:
  - target: stderr
    any: warning
CONF
exec knotd -c "$dir/conf"
