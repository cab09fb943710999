#!/usr/bin/env bash
# Clients that nobody here wrote, against relay and simulator as processes: redis-py and ioredis read what was published, and
# must read the same; the examples do the job of Omni's own demo; an agent on the official Python SDK of MCP works through the
# relay.
# usage: tests/clients/check.sh OMNI_RELAY_BINARY OMNI_WITH_MCP REDIS_SERVER [CHROMIUM]
# requirements.txt must be importable, package.json installed. Without Chromium the chat page is left out.
set -euo pipefail
absolute() { printf '%s/%s\n' "$(cd "$(dirname "$1")" && pwd)" "$(basename "$1")"; }
binary=$(absolute "$1")
omni=$(absolute "$2")
redis_server=$3
chromium=${4:-}
here=$(cd "$(dirname "$0")" && pwd)

# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh" clients

read -r redis_port simulator_port omni_port relay_port backend_port page_port < <(free_ports 6)

# What the examples read, and ask.py.
export RELAY_URL=http://127.0.0.1:$relay_port RELAY_KEY=key-of-the-clients OMNI_RELAY_KEY=key-of-the-clients
redis=redis://127.0.0.1:$redis_port
start redis "$redis_server" --port "$redis_port" --bind 127.0.0.1 --dir "$work" --save '' --appendonly yes --daemonize no
start simulator "$binary" simulate --listen "127.0.0.1:$simulator_port" --duration 200ms
wait_for redis listens "$redis_port"
wait_for simulator listens "$simulator_port"
start omni "$omni" "127.0.0.1:$omni_port" "http://127.0.0.1:$simulator_port"
wait_for omni listens "$omni_port"
start relay env \
  OMNI_RELAY__REDIS__URL="$redis" \
  OMNI_RELAY__HTTP__LISTEN="127.0.0.1:$relay_port" \
  OMNI_RELAY__HTTP__ADMIN_LISTEN= \
  OMNI_RELAY__HTTP__CORS_ORIGINS="http://127.0.0.1:$page_port" \
  OMNI_RELAY__CALLERS__CHAT__KEY="$RELAY_KEY" \
  OMNI_RELAY__TOKENS__SECRETS=secret-of-the-tokens-of-these-tests \
  OMNI_RELAY__OMNI__BASE_URL="http://127.0.0.1:$omni_port" \
  OMNI_RELAY__OMNI__API_KEYS=key-for-the-simulator \
  OMNI_RELAY__OMNI__REQUESTS_PER_MINUTE=1000 \
  OMNI_RELAY__OMNI__MODEL_ID=11111111-2222-4333-8444-555555555555 \
  OMNI_RELAY__OMNI__RUN_AS_KEY_OWNER=true \
  OMNI_RELAY__WEBHOOK__PUBLIC_URL="$RELAY_URL/webhooks/omni" \
  OMNI_RELAY__WEBHOOK__SECRETS=secret-between-relay-and-simulator \
  OMNI_RELAY__CALLERS__AGENTS__KEY=agents-key OMNI_RELAY__CALLERS__AGENTS__SCOPES=mcp \
  OMNI_RELAY__CALLERS__OTHERS__KEY=others-key OMNI_RELAY__CALLERS__OTHERS__SCOPES=mcp \
  "$binary" serve
wait_for relay ready "$RELAY_URL"

for question in "How did sales develop by month?" "And only in the north?"; do
  ended=$(python3 "$here/ask.py" "$RELAY_URL" thread-1 "$question")
  [[ $ended == omni.answer* ]] || fail "\"$question\" ended in $ended"
done

# Accepted, submitted, answered: three entries for each question, and one of them for the workers.
for client in "python3 $here/worker.py" "node $here/worker.mjs"; do
  reader=${client%% *}
  $client "$redis" relay 2 --timeout 20 > "$work/$reader.answers" || fail "no answers for $client"
  $client "$redis" relay 6 --conversation thread-1 --timeout 20 > "$work/$reader.conversation" || fail "no conversation for $client"
done
cat "$work/python3.answers"
cmp "$work/python3.answers" "$work/node.answers" || fail "the workers read different answers"
cmp "$work/python3.conversation" "$work/node.conversation" || fail "the readers saw different conversations"
[ "$(grep -c "^omni\.answer$(printf '\t')thread-1$(printf '\t')." "$work/python3.answers")" = 2 ] || fail "an answer has no message"
[ "$(grep '^omni\.answer' "$work/python3.conversation")" = "$(cat "$work/python3.answers")" ] || fail "answers and conversation differ"
echo "clients: redis-py and ioredis read the same 2 answers and 6 entries"

# The job of Omni's demo: questions and follow-ups of two users, each with its own permissions.
# answers FILE WHO
answers() {
  local file=$1 who=$2
  [ "$(grep -c '^## ' "$file")" = 4 ] || fail "$who has not four answers"
  [ "$(grep -c 'You see orders of Europe' "$file")" = 2 ] || fail "$who: Anna does not see her region alone"
  [ "$(grep -c 'You see orders of Asia Pacific' "$file")" = 2 ] || fail "$who: Kenji does not see his region alone"
  [ "$(grep -c 'refers to your last question' "$file")" = 2 ] || fail "$who: a follow-up does not follow"
  echo "clients: $who answered two users' questions and follow-ups"
}

start backend python3 -m uvicorn --app-dir "$here/examples" chat_backend:app --port "$backend_port"
wait_for backend listens "$backend_port"
python3 "$here/drive_backend.py" "http://127.0.0.1:$backend_port" > "$work/backend.answers" || fail "the chat backend does not answer"
answers "$work/backend.answers" "the FastAPI backend"

python3 "$here/examples/report.py" "$redis" relay > "$work/report.answers" || fail "there is no report"
answers "$work/report.answers" "the Python worker"

if [ -n "$chromium" ]; then
  node "$here/drive_docs.mjs" "$RELAY_URL" "$chromium" || fail "the documentation page does not stand by itself"
  start page env PORT="$page_port" node "$here/examples/chat-page/server.mjs"
  wait_for page listens "$page_port"
  node "$here/drive_page.mjs" "http://127.0.0.1:$page_port" "$chromium" > "$work/page.answers" || fail "the chat page does not answer"
  answers "$work/page.answers" "the chat page in Chromium"
fi

python3 "$here/agent.py" "$RELAY_URL" || fail "the agent did not get through"
