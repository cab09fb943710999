#!/bin/sh
# Puts programs of this machine into a directory, the root of an image: they, the libraries they load, the certificates of
# this machine, a user. The same files give the same image: they all belong to root and are as old as Unix.
# usage: deploy/rootfs.sh DIRECTORY PROGRAM...     what is in DIRECTORY already stays there
set -eu
root=$1
shift
umask 022

install -d "$root/etc" "$root/usr/local/bin"
install -d -m 1777 "$root/tmp"
printf '%s\n' 'root:x:0:0:root:/:/bin/sh' 'nonroot:x:65532:65532:nonroot:/:/bin/sh' > "$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'nonroot:x:65532:' > "$root/etc/group"
# Container engines write the names they know into hosts, and answer for the rest.
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

for program; do
  install "$program" "$root/usr/local/bin/"
  # A static one has none. Lines that name a file: "libc.so.6 => /lib/… (0x…)" and "/lib64/ld-linux-x86-64.so.2 (0x…)".
  ldd "$program" 2> /dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
    install -D "$library" "$root$library"
  done
done
find "$root" -exec touch --no-dereference --date=@0 {} +
