#!/bin/sh
# mosquitto.sh IP PORT: an MQTT broker, open to all.
. "${0%/*}/start.sh"
cat >"$dir/conf" <<CONF
listener $port $ip
allow_anonymous true
CONF
exec mosquitto -c "$dir/conf"
