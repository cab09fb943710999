#!/usr/bin/env bash
# An incident as an operator meets it, for docs/RUNBOOK.md: under load Omni's result endpoint fails for two minutes. What
# doctor, the alert rules and the console show, the replay in bulk, and whether every prompt has its one terminal entry.
# usage: tests/clients/incident.sh OMNI_RELAY_BINARY REDIS_SERVER PROMETHEUS CHROMIUM FOLDER_FOR_PICTURES
# requirements.txt must be importable. Takes seven minutes.
set -euo pipefail
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
redis_server=$2
prometheus=$3
chromium=$4
pictures=$5
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh" incident
mkdir -p "$pictures"

read -r redis_port simulator_port omni_port relay_port admin_port prometheus_port < <(free_ports 6)
flag=$work/results-fail
start redis "$redis_server" --port "$redis_port" --bind 127.0.0.1 --dir "$work" --save '' --appendonly yes --appendfsync always --daemonize no
start simulator "$binary" simulate --listen "127.0.0.1:$simulator_port" --duration 1s --requests-per-minute 0 --quiet
wait_for redis listens "$redis_port"
wait_for simulator listens "$simulator_port"
start omni python3 "$here/fault.py" "127.0.0.1:$omni_port" "http://127.0.0.1:$simulator_port" "$flag"
wait_for omni listens "$omni_port"
export OMNI_RELAY__REDIS__URL=redis://127.0.0.1:$redis_port \
  OMNI_RELAY__HTTP__LISTEN=127.0.0.1:$relay_port \
  OMNI_RELAY__HTTP__ADMIN_LISTEN=127.0.0.1:$admin_port \
  OMNI_RELAY__OMNI__BASE_URL=http://127.0.0.1:$omni_port \
  OMNI_RELAY__OMNI__API_KEYS=key-for-the-simulator \
  OMNI_RELAY__OMNI__REQUESTS_PER_MINUTE=100000 \
  OMNI_RELAY__OMNI__MODEL_ID=11111111-2222-4333-8444-555555555555 \
  OMNI_RELAY__RETRY__ATTEMPTS=3 \
  OMNI_RELAY__WEBHOOK__PUBLIC_URL=http://127.0.0.1:$relay_port/webhooks/omni \
  OMNI_RELAY__WEBHOOK__SECRETS=secret-between-relay-and-simulator
start relay "$binary" serve
wait_for relay ready "http://127.0.0.1:$relay_port"
cat > "$work/prometheus.yml" << YAML
global: { scrape_interval: 5s, evaluation_interval: 5s }
rule_files: [ "$here/../../deploy/prometheus/rules.yml" ]
scrape_configs:
  - job_name: omni-relay
    static_configs: [ { targets: [ "127.0.0.1:$admin_port" ] } ]
YAML
start prometheus "$prometheus" --config.file "$work/prometheus.yml" --storage.tsdb.path "$work/tsdb" \
  --web.listen-address "127.0.0.1:$prometheus_port"
wait_for prometheus listens "$prometheus_port"
PATH=$(dirname "$binary"):$PATH
python3 "$here/incident.py" "http://127.0.0.1:$relay_port" "http://127.0.0.1:$admin_port" "http://127.0.0.1:$prometheus_port" \
  "$OMNI_RELAY__REDIS__URL" "$flag" "$chromium" "$pictures" || fail "the incident did not end well"
