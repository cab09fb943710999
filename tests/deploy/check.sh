#!/usr/bin/env bash
# What deploy/ has for other people's machines, tried: the proxies before a relay, the systemd unit's sandbox around one, the
# manifests by the schemas of Kubernetes, and the relays that they describe as processes.
# usage: tests/deploy/check.sh OMNI_RELAY_BINARY REDIS_SERVER KUBECTL
# requirements.txt must be importable; nginx, caddy, openssl, strace and systemd-analyze are on PATH.
set -euo pipefail
absolute() { printf '%s/%s\n' "$(cd "$(dirname "$1")" && pwd)" "$(basename "$1")"; }
binary=$(absolute "$1")
redis_server=$2
kubectl=$(absolute "$3")
here=$(cd "$(dirname "$0")" && pwd)
deploy=$here/../../deploy

# shellcheck source=tests/clients/lib.sh
. "$here/../clients/lib.sh" deploy

export RELAY_KEY=key-of-the-deployments OMNI_RELAY_KEY=key-of-the-deployments

# changed FILE PATTERN REPLACEMENT...   FILE with its addresses changed; each of them must be in it
changed() {
  python3 - "$@" << 'PY'
import pathlib, sys
text = pathlib.Path(sys.argv[1]).read_text()
for old, new in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    sys.exit(f"{sys.argv[1]} has no {old}") if old not in text else None
    text = text.replace(old, new)
print(text)
PY
}

start_around() {
  read -r redis_port simulator_port < <(free_ports 2)
  start redis "$redis_server" --port "$redis_port" --bind 127.0.0.1 --dir "$work" --save '' --daemonize no
  start simulator "$binary" simulate --listen "127.0.0.1:$simulator_port" --duration 4s --requests-per-minute 0 --quiet
  wait_for redis listens "$redis_port"
  wait_for simulator listens "$simulator_port"
}

# relay_on PORT COMMAND...   becomes COMMAND, with the environment of a relay that has everything on one listener
relay_on() {
  local port=$1
  shift
  exec env \
    OMNI_RELAY__REDIS__URL="redis://127.0.0.1:$redis_port" \
    OMNI_RELAY__HTTP__LISTEN="127.0.0.1:$port" \
    OMNI_RELAY__HTTP__ADMIN_LISTEN="127.0.0.1:$port" \
    OMNI_RELAY__CALLERS__CHAT__KEY="$RELAY_KEY" \
    OMNI_RELAY__OMNI__BASE_URL="http://127.0.0.1:$simulator_port" \
    OMNI_RELAY__OMNI__API_KEYS=key-for-the-simulator \
    OMNI_RELAY__OMNI__REQUESTS_PER_MINUTE=1000 \
    OMNI_RELAY__OMNI__MODEL_ID=11111111-2222-4333-8444-555555555555 \
    OMNI_RELAY__OMNI__RUN_AS_KEY_OWNER=true \
    OMNI_RELAY__WEBHOOK__PUBLIC_URL="http://127.0.0.1:$port/webhooks/omni" \
    OMNI_RELAY__WEBHOOK__SECRETS=secret-between-relay-and-simulator \
    OMNI_RELAY__BACKLOG__TENANT_SHARE=100 \
    "$@"
}

# ---- proxies

# proxy WHAT PORT   goes through what listens there: first with no relay behind it, then with one
proxy() {
  local what=$1 port=$2
  wait_for "$what" listens "$port"
  python3 "$here/proxies.py" away "$port" "$work/relay.crt" "$relay_port" || fail "$what is not right without a relay"
}

through() {
  local what=$1 port=$2
  python3 "$here/proxies.py" through "$port" "$work/relay.crt" "$relay_port" || fail "$what is not right before a relay"
  echo "deploy: $what passes webhooks byte by byte, events as they come and prompts of 15 MiB, and shuts the rest out"
}

proxies() {
  local nginx_port caddy_port
  read -r relay_port nginx_port caddy_port < <(free_ports 3)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=relay.example.com \
    -addext subjectAltName=DNS:relay.example.com -keyout "$work/relay.key" -out "$work/relay.crt" 2> "$work/openssl.log"

  changed "$deploy/nginx.conf" 'server 127.0.0.1:8080;' "server 127.0.0.1:$relay_port;" \
    'listen 443 ssl' "listen 127.0.0.1:$nginx_port ssl" 'listen [::]:443 ssl' '# listen [::]:443 ssl' \
    /etc/nginx/tls/relay.example.com "$work/relay" > "$work/relay.conf"
  printf '%s\n' 'daemon off;' "user $(id -un) $(id -gn);" "pid $work/nginx.pid;" 'error_log stderr;' 'events {}' \
    "http { access_log $work/nginx.access; client_body_temp_path $work/nginx.body; proxy_temp_path $work/nginx.proxy;" \
    "fastcgi_temp_path $work/nginx.1; uwsgi_temp_path $work/nginx.2; scgi_temp_path $work/nginx.3; include $work/relay.conf; }" \
    > "$work/nginx.conf"
  start nginx nginx -c "$work/nginx.conf"

  changed "$deploy/Caddyfile" 'relay.example.com {' "relay.example.com:$caddy_port {
	bind 127.0.0.1
	tls $work/relay.crt $work/relay.key" 'reverse_proxy 127.0.0.1:8080' "reverse_proxy 127.0.0.1:$relay_port" > "$work/relay.caddy"
  printf '{\n\tadmin off\n\tauto_https disable_redirects\n}\n' | cat - "$work/relay.caddy" > "$work/Caddyfile"
  start caddy env HOME="$work" caddy run --config "$work/Caddyfile" --adapter caddyfile

  proxy nginx "$nginx_port"
  proxy Caddy "$caddy_port"
  start relay relay_on "$relay_port" "$binary" serve
  wait_for relay ready "http://127.0.0.1:$relay_port"
  through nginx "$nginx_port"
  through Caddy "$caddy_port"
}

# ---- Kubernetes

kubernetes() {
  local ports trial=$work/trial redis_port process
  python3 "$here/manifests.py" "$kubectl" "$binary"
  read -ra ports < <(free_ports 10)
  redis_port=${ports[0]}
  python3 "$here/relays.py" stage "$kubectl" "$binary" "$trial" "${ports[@]}"
  mkdir "$work/data"
  changed "$deploy/redis.conf" 'dir /data' "dir $work/data" /etc/redis.acl "$deploy/redis.acl" > "$work/redis.conf"
  start redis-of-the-trial "$redis_server" "$work/redis.conf" --port "$redis_port" --bind 127.0.0.1
  wait_for "Redis of the trial" listens "$redis_port"
  for process in "$trial"/*/run; do
    start "$(basename "$(dirname "$process")")" bash "$process"
  done
  python3 "$here/relays.py" look "$trial" || fail "a pod would not be ready, or not be scraped"
  python3 "$here/relays.py" ask "$trial" || fail "the trial does not answer"
  python3 "$here/relays.py" denied "$redis_port" || fail "a role has not the rights that it needs"
}

# ---- systemd

unit() {
  local unit=$work/omni-relay.service etc=$work/etc port command pid
  read -r port < <(free_ports 1)
  changed "$deploy/systemd/omni-relay.service" /usr/local/bin/omni-relay "$binary" /etc/omni-relay "$etc" > "$unit"
  systemd-analyze verify "$unit" > "$work/verify" 2>&1 || fail "systemd does not take the unit: $(cat "$work/verify")"
  [ ! -s "$work/verify" ] || fail "systemd has something to say of the unit: $(cat "$work/verify")"
  systemd-analyze security --offline=true --no-pager --threshold=15 "$unit" > "$work/exposure" \
    || fail "the unit is exposed: $(tail -n 1 "$work/exposure")"
  echo "deploy: $(grep -o 'Overall exposure level.*[0-9]' "$work/exposure")"

  mkdir "$etc"
  echo key-for-the-simulator > "$etc/omni-api-keys"
  cat > "$etc/omni-relay.toml" << TOML
namespace = "unit"
[redis]
url = "redis://127.0.0.1:$redis_port"
[http]
listen = "127.0.0.1:$port"
admin_listen = "127.0.0.1:$port"
[omni]
base_url = "http://localhost:$simulator_port"
api_keys_file = "omni-api-keys"
model_id = "11111111-2222-4333-8444-555555555555"
run_as_key_owner = true
TOML
  read -ra command < <(sed -n 's/^ExecStart=//p' "$unit")
  start unit env -i PATH="$PATH" strace -f -qq -o "$work/calls" -e trace=all \
    -e "inject=!$(python3 "$here/unit.py" allowed "$unit"):error=EPERM" "${command[@]}"
  wait_for "the relay under the unit's filter" ready "http://127.0.0.1:$port"
  python3 "$here/../clients/ask.py" "http://127.0.0.1:$port" thread "Revenue by month?" > "$work/asked" \
    || fail "the relay does not answer under the unit's filter"
  pid=$(head -n 1 "$work/calls" | cut -d ' ' -f 1)
  MAINPID=$pid bash -c "$(sed -n 's/^ExecReload=//p' "$unit")"
  wait_for "the reload" reloaded "http://127.0.0.1:$port/metrics"
  kill -TERM "$pid"
  wait "${pids[-1]}" || fail "the relay did not end well under the unit's filter"
  python3 "$here/unit.py" look "$unit" "$work/calls"
}

reloaded() {
  python3 - "$1" << 'PY'
import sys, urllib.request as r
sys.exit('omni_relay_reloads_total{outcome="taken"} 1' not in r.urlopen(sys.argv[1], timeout=2).read().decode())
PY
}

start_around
proxies
kubernetes
unit
