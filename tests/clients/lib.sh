# Starts programs for the scripts that source this, and ends them: give it the name that they speak under.
# shellcheck shell=bash
name=$1
work=$(mktemp -d)
pids=()
finish() {
  local result=$?
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2> /dev/null || true
  wait
  if [ "$result" != 0 ]; then
    tail -n 20 "$work"/*.log >&2
  fi
  rm -rf "$work"
  exit "$result"
}
trap finish EXIT

fail() { echo "$name: $*" >&2; exit 1; }

# free_ports COUNT   below the range that systems give to outgoing connections
free_ports() {
  python3 - "$1" << 'PY'
import random, socket, sys
free = []
while len(free) < int(sys.argv[1]):
    port = random.randrange(20000, 32000)
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
    free.append(port) if port not in free else None
print(*free)
PY
}

# start WHAT COMMAND...   its output is shown when the script fails
start() {
  local what=$1
  shift
  "$@" > "$work/$what.log" 2>&1 &
  pids+=($!)
}

# wait_for WHAT CONDITION...
wait_for() {
  local what=$1 tries=400
  shift
  until "$@" > /dev/null 2>&1; do
    tries=$((tries - 1))
    if [ "$tries" = 0 ] || [ "$(jobs -rp | wc -l)" -lt ${#pids[@]} ]; then
      fail "$what is not ready"
    fi
    sleep 0.05
  done
}
listens() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$1"; }
ready() { python3 -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=2)' "$1/readyz"; }
