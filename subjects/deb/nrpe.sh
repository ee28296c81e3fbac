#!/bin/sh
# nrpe.sh IP PORT: the Nagios agent, without TLS.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
server_address=$ip
server_port=$port
nrpe_user=nobody
nrpe_group=nogroup
pid_file=$dir/pid
command[ok]=/bin/true
CONF
exec nrpe -c "$dir/conf" -f -n
