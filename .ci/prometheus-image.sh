#!/usr/bin/env bash
# Makes a Prometheus image out of the prometheus of this machine, for an engine that has no registry to pull from.
# usage: .ci/prometheus-image.sh TAG         needs: docker, prometheus
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: $0 TAG" >&2; exit 2; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
"$here/../deploy/rootfs.sh" "$root" "$(command -v prometheus)"
# Of whom the official image runs as.
install -d -o 65534 -g 65534 "$root/prometheus"
install -d "$root/etc/prometheus"
tar -C "$root" -c . | docker import \
  --change 'USER 65534' \
  --change 'EXPOSE 9090' \
  --change 'ENTRYPOINT ["/usr/local/bin/prometheus"]' \
  --change 'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]' - "$1" > /dev/null
