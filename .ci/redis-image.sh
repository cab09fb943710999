#!/usr/bin/env bash
# Makes a Redis image out of the redis-server of this machine, for an engine that has no registry to pull from.
# usage: .ci/redis-image.sh TAG...        needs: docker, redis-server, redis-cli, a static busybox
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { echo "usage: $0 TAG..." >&2; exit 2; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
"$here/../deploy/rootfs.sh" "$root" "$(command -v redis-server)" "$(command -v redis-cli)" "$(command -v busybox)"
install -d "$root/bin" "$root/data"
# Without wget and ping: a static glibc cannot look names up here.
for applet in sh cat chmod chown cp env grep head id ls mkdir mv ps rm sleep tail; do
  ln -s ../usr/local/bin/busybox "$root/bin/$applet"
done

# A mapped port comes from another address, which protected mode refuses. The official image turns it off as well.
cat > "$root/usr/local/bin/docker-entrypoint.sh" <<'SH'
#!/bin/sh
case "$1" in
  -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
  exec "$@" --protected-mode no
fi
exec "$@"
SH
chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"

image=$(tar -C "$root" -c . | docker import \
  --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' \
  --change 'WORKDIR /data' \
  --change 'EXPOSE 6379' \
  --change 'ENTRYPOINT ["docker-entrypoint.sh"]' \
  --change 'CMD ["redis-server"]' -)
for tag in "$@"; do
  docker tag "$image" "$tag"
done
