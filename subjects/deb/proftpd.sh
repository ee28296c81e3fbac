#!/bin/sh
# proftpd.sh IP PORT: ProFTPD in the foreground.
. "${0%/*}/start.sh"
mkdir "$dir/ftp"
cat >"$dir/conf" <<CONF
ServerName test
ServerType standalone
DefaultAddress $ip
SocketBindTight on
Port $port
UseIPv6 on
User nobody
Group nogroup
PidFile $dir/pid
ScoreboardFile $dir/scoreboard
DelayTable none
WtmpLog off
UseReverseDNS off
MaxInstances 1000
CONF
exec proftpd -n -q -c "$dir/conf"
