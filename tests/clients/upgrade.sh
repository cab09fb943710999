#!/usr/bin/env bash
# A rolling upgrade under load: the version before and this one side by side on one Redis, forward, back and forward again.
# usage: tests/clients/upgrade.sh PREVIOUS_BINARY OMNI_RELAY_BINARY REDIS_SERVER
# requirements.txt must be importable. Takes two minutes.
set -euo pipefail
previous=$1
binary=$2
redis_server=$3
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh" upgrade

read -r redis_port simulator_port omni_port balancer_port relay_ports < <(free_ports 20)
flag=$work/results-fail
start redis "$redis_server" --port "$redis_port" --bind 127.0.0.1 --dir "$work" --save '' --appendonly yes --daemonize no
start simulator "$binary" simulate --listen "127.0.0.1:$simulator_port" --duration 500ms..2s --requests-per-minute 0
wait_for redis listens "$redis_port"
wait_for simulator listens "$simulator_port"
start omni python3 "$here/fault.py" "127.0.0.1:$omni_port" "http://127.0.0.1:$simulator_port" "$flag"
wait_for omni listens "$omni_port"
export OMNI_RELAY__REDIS__URL=redis://127.0.0.1:$redis_port \
  OMNI_RELAY__OMNI__BASE_URL=http://127.0.0.1:$omni_port \
  OMNI_RELAY__OMNI__API_KEYS=key-for-the-simulator \
  OMNI_RELAY__OMNI__REQUESTS_PER_MINUTE=100000 \
  OMNI_RELAY__OMNI__MODEL_ID=11111111-2222-4333-8444-555555555555 \
  OMNI_RELAY__RETRY__ATTEMPTS=2 \
  OMNI_RELAY__RETRY__BASE=200ms \
  OMNI_RELAY__WEBHOOK__PUBLIC_URL=http://127.0.0.1:$balancer_port/webhooks/omni \
  OMNI_RELAY__WEBHOOK__SECRETS=secret-between-relay-and-simulator
# shellcheck disable=SC2086 # as many words as there are ports
python3 "$here/upgrade.py" "$previous" "$binary" "$work" "$balancer_port" $relay_ports || fail "the upgrade did not go well"
