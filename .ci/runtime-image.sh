#!/usr/bin/env bash
# Makes the base that the image of the relay stands on, for an engine that has no registry to pull from: the
# libraries the binary loads, the certificates of this machine, a shell.
# usage: .ci/runtime-image.sh BINARY TAG     needs: docker, a static busybox, ca-certificates
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$1
tag=$2

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
"$here/rootfs.sh" "$root" "$binary"
rm "$root/usr/bin/$(basename "$binary")"
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'CMD ["sh"]' - "$tag" > /dev/null
