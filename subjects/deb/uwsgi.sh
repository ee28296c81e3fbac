#!/bin/sh
# uwsgi.sh IP PORT: uWSGI with two pre-forked processes, one client at a time each.
. "${0%/*}/start.sh"
cp "${0%/*}/wsgi.py" "$dir"
exec uwsgi_python3 --http-socket "$host:$port" --master --die-on-term --processes 2 --need-app --wsgi-file "$dir/wsgi.py"
