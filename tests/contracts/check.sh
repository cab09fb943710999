#!/usr/bin/env bash
# The documents of a relay against their own schemas; then the relay against them: Schemathesis makes up calls, right and
# wrong ones, one by one and in chains, and looks whether the answers are as described.
# usage: tests/contracts/check.sh OMNI_RELAY_BINARY REDIS_SERVER SCHEMATHESIS [SEED]
# requirements.txt must be importable, package.json installed.
set -euo pipefail
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
redis_server=$2
schemathesis=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
seed=${4:-1}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/../clients/lib.sh" contracts

read -r redis_port simulator_port relay_port < <(free_ports 3)
url=http://127.0.0.1:$relay_port
export RELAY_KEY=key-of-the-contracts
start redis "$redis_server" --port "$redis_port" --bind 127.0.0.1 --dir "$work" --save '' --daemonize no
start simulator "$binary" simulate --listen "127.0.0.1:$simulator_port" --duration 20ms --requests-per-minute 0 --quiet
wait_for redis listens "$redis_port"
wait_for simulator listens "$simulator_port"
start relay env \
  OMNI_RELAY__REDIS__URL="redis://127.0.0.1:$redis_port" \
  OMNI_RELAY__HTTP__LISTEN="127.0.0.1:$relay_port" \
  OMNI_RELAY__HTTP__ADMIN_LISTEN="127.0.0.1:$relay_port" \
  OMNI_RELAY__CALLERS__ALL__KEY="$RELAY_KEY" \
  OMNI_RELAY__CALLERS__ALL__SCOPES=prompts,read,ops,mcp \
  OMNI_RELAY__TOKENS__SECRETS=secret-of-the-tokens-of-these-tests \
  OMNI_RELAY__OMNI__BASE_URL="http://127.0.0.1:$simulator_port" \
  OMNI_RELAY__OMNI__API_KEYS=key-for-the-simulator \
  OMNI_RELAY__OMNI__REQUESTS_PER_MINUTE=100000 \
  OMNI_RELAY__OMNI__MODEL_ID=11111111-2222-4333-8444-555555555555 \
  OMNI_RELAY__RESULTS__CHARTS=true \
  OMNI_RELAY__WEBHOOK__PUBLIC_URL="$url/webhooks/omni" \
  OMNI_RELAY__WEBHOOK__SECRETS=secret-between-relay-and-simulator \
  "$binary" serve
wait_for relay ready "$url"

python3 "$here/documents.py" "$url" "$here/node_modules/@asyncapi/specs/schemas/3.0.0-without-\$id.json"

# A prompt that is answered, and dead letters: entries that nobody can read.
PROMPT_ID=$(python3 "$here/prepare.py" "$url" "$redis_port") || fail "nothing could be prepared"
export PROMPT_ID
report=$work/report.json
# It keeps what it learns where it runs.
(
  cd "$work"
  PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" "$schemathesis" --config-file "$here/schemathesis.toml" \
    run "$url/openapi.json" --seed "$seed" --report-json-path "$report" > found 2>&1
) || {
  cat "$work/found" >&2
  fail "the relay and its document differ"
}
python3 - "$report" << 'PY'
import json, sys
cases = json.load(open(sys.argv[1]))["test_cases"]
print(f"schemathesis: {cases['generated']} calls, {cases['with_failures']} failures")
PY
