#!/bin/sh
# apache.sh IP PORT MPM: Apache's httpd with the prefork or the event module.
. "${0%/*}/start.sh"
mpm=$3 modules=/usr/lib/apache2/modules
echo ok >"$dir/index.html"
cat >"$dir/conf" <<CONF
ServerRoot $dir
ServerName localhost
PidFile $dir/pid
Mutex pthread
Listen $host:$port
LoadModule mpm_${mpm}_module $modules/mod_mpm_$mpm.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule dir_module $modules/mod_dir.so
User nobody
Group nogroup
DocumentRoot $dir
DirectoryIndex index.html
ErrorLog /dev/stderr
CONF
exec apache2 -DFOREGROUND -f "$dir/conf"
