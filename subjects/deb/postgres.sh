#!/bin/sh
# postgres.sh IP PORT: PostgreSQL with a fresh and empty cluster. Not as root: PostgreSQL refuses.
. "${0%/*}/start.sh"

# Debian keeps the programs of each version in a directory of its own, outside PATH.
for bin in /usr/lib/postgresql/*/bin; do
	if [ -x "$bin/postgres" ]; then PATH=$bin:$PATH; fi
done

initdb --pgdata="$dir/data" --auth=trust --no-locale --no-sync --no-instructions >"$dir/log"
# max_connections is 100 by default, and twice as many may be unauthenticated.
exec postgres -D "$dir/data" -p "$port" -c listen_addresses="$ip" -c unix_socket_directories= \
	-c max_connections=1000
