# Read by the scripts beside it, which are called with IP and PORT: what all of them need.
set -eu
ip=$1 port=$2
case $ip in *:*) host=[$ip] family=6 ;; *) host=$ip family=4 ;; esac
dir=$(mktemp -d)
chmod 755 "$dir" # servers that leave root behind read it, too
