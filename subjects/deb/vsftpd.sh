#!/bin/sh
# vsftpd.sh IP PORT: vsftpd for anonymous users. By default it serves 50 clients of one address.
. "${0%/*}/start.sh"
mkdir "$dir/empty" "$dir/ftp"
listen=listen_address no6=NO no4=YES
if [ $family = 6 ]; then listen=listen_address6 no6=YES no4=NO; fi
cat >"$dir/conf" <<CONF
background=NO
listen=$no4
listen_ipv6=$no6
$listen=$ip
listen_port=$port
max_per_ip=0
anonymous_enable=YES
local_enable=NO
anon_root=$dir/ftp
secure_chroot_dir=$dir/empty
ftp_username=nobody
nopriv_user=nobody
CONF
exec vsftpd "$dir/conf"
