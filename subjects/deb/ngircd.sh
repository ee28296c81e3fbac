#!/bin/sh
# ngircd.sh IP PORT: an IRC server; by default it serves 5 clients of one address.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
[Global]
Name = irc.localhost
AdminEMail = nobody@localhost
Listen = $ip
Ports = $port
ServerGID = nogroup
ServerUID = nobody
PidFile =
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
CONF
exec ngircd -n -f "$dir/conf"
