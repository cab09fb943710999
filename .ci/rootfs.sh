#!/usr/bin/env bash
# Fills a directory with programs of this machine, the libraries they load and a busybox shell: the root of an image.
# usage: .ci/rootfs.sh DIRECTORY PROGRAM...
set -euo pipefail
root=$1
shift

chmod 755 "$root"
install -d "$root"/{bin,usr/bin,etc,proc,sys,dev,root}
install -d -m 1777 "$root/tmp"
echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"
# Container engines write the names they know into hosts, and answer for the rest.
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"

busybox=$(command -v busybox)
install "$busybox" "$root/bin/busybox"
# Without wget and ping: a static glibc cannot look names up here.
for applet in sh cat chmod chown cp env grep head id ls mkdir mv ps rm sleep tail; do
  ln -s busybox "$root/bin/$applet"
done

libraries() {
  # Lines of ldd that name a file: "libc.so.6 => /lib/… (0x…)" and "/lib64/ld-linux-x86-64.so.2 (0x…)".
  { ldd "$1" 2> /dev/null || true; } | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'
}

for program in "$busybox" "$@"; do
  libraries "$program" | while read -r library; do
    install -D "$library" "$root$library"
  done
done
for program in "$@"; do
  install "$program" "$root/usr/bin/"
done
