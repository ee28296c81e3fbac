#!/bin/sh
# mariadb.sh IP PORT: MariaDB without tables: it starts in a moment, and no one can log in.
. "${0%/*}/start.sh"
exec mariadbd --no-defaults --datadir="$dir" --bind-address="$ip" --port="$port" --socket="$dir/socket" \
	--pid-file="$dir/pid" --user="$(id -un)" --skip-grant-tables --skip-networking=0 --skip-innodb \
	--default-storage-engine=MyISAM --skip-name-resolve --max-connections=1000 --max-connect-errors=1000000
