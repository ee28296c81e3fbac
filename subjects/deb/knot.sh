#!/bin/sh
# knot.sh IP PORT: Knot DNS without a zone: it refuses every question, over TCP, too.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
server:
    rundir: $dir
    user: $(id -un)
    listen: $ip@$port
database:
    storage: $dir
log:
  - target: stderr
    any: warning
CONF
exec knotd -c "$dir/conf"
