#!/usr/bin/env bash
# The console in Chromium, clicked through as an operator would at night: Omni's results fail, 500 prompts die, they are
# replayed in bulk, stopped half-way, run again.
# usage: tests/clients/console.sh OMNI_RELAY_BINARY REDIS_SERVER CHROMIUM [FOLDER FOR SCREENSHOTS]
# package.json must be installed.
set -euo pipefail
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
redis_server=$2
chromium=$3
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh" console
shots=${4:-$work}

read -r redis_port simulator_port omni_port relay_port admin_port < <(free_ports 5)
flag=$work/results-fail
touch "$flag"
export OPERATORS_KEY=key-of-the-operators VIEWERS_KEY=key-of-the-viewers
start redis "$redis_server" --port "$redis_port" --bind 127.0.0.1 --dir "$work" --save '' --appendonly yes --daemonize no
start simulator "$binary" simulate --listen "127.0.0.1:$simulator_port" --duration 50ms --requests-per-minute 0 --quiet
wait_for redis listens "$redis_port"
wait_for simulator listens "$simulator_port"
start omni python3 "$here/fault.py" "127.0.0.1:$omni_port" "http://127.0.0.1:$simulator_port" "$flag"
wait_for omni listens "$omni_port"
start relay env \
  OMNI_RELAY__REDIS__URL="redis://127.0.0.1:$redis_port" \
  OMNI_RELAY__HTTP__LISTEN="127.0.0.1:$relay_port" \
  OMNI_RELAY__HTTP__ADMIN_LISTEN="127.0.0.1:$admin_port" \
  OMNI_RELAY__CALLERS__NIGHT__KEY="$OPERATORS_KEY" OMNI_RELAY__CALLERS__NIGHT__SCOPES=prompts,read,ops \
  OMNI_RELAY__CALLERS__VIEWER__KEY="$VIEWERS_KEY" OMNI_RELAY__CALLERS__VIEWER__SCOPES=read \
  OMNI_RELAY__OMNI__BASE_URL="http://127.0.0.1:$omni_port" \
  OMNI_RELAY__OMNI__API_KEYS=key-for-the-simulator \
  OMNI_RELAY__OMNI__REQUESTS_PER_MINUTE=100000 \
  OMNI_RELAY__OMNI__MODEL_ID=11111111-2222-4333-8444-555555555555 \
  OMNI_RELAY__RETRY__ATTEMPTS=3 OMNI_RELAY__RETRY__BASE=100ms OMNI_RELAY__RETRY__CAP=200ms \
  OMNI_RELAY__WEBHOOK__PUBLIC_URL="http://127.0.0.1:$relay_port/webhooks/omni" \
  OMNI_RELAY__WEBHOOK__SECRETS=secret-between-relay-and-simulator \
  "$binary" serve
wait_for relay ready "http://127.0.0.1:$relay_port"
node "$here/drive_console.mjs" "http://127.0.0.1:$admin_port" "http://127.0.0.1:$relay_port" "$chromium" "$flag" "$shots" \
  || fail "the console does not do what it shows"
