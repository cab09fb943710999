"""Plays the incident of incident.sh, and writes down what an operator sees.

    incident.py RELAY ADMIN PROMETHEUS REDIS FLAG CHROMIUM PICTURES

While the file FLAG exists, Omni's results fail.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.request

import redis

relay, admin, prometheus, redis_url, flag, chromium, pictures = sys.argv[1:]
flag = pathlib.Path(flag)
store = redis.Redis.from_url(redis_url, decode_responses=True)
PER_SECOND, BEFORE, FAULT, AFTER = 3, 30, 120, 30
began = time.monotonic()
asked = []


def say(text):
    at = time.monotonic() - began
    print(f"\n[{int(at // 60)}:{at % 60:04.1f}] {text}", flush=True)


def run(command):
    """A command of the operator's, as typed."""
    print(f"$ {command}")
    told = subprocess.run(command, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    print(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:…", told.rstrip()), flush=True)
    return told


def call(address, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def load():
    for number in range(PER_SECOND * (BEFORE + FAULT + AFTER)):
        # Every fifth is a follow-up in the conversation before.
        conversation = f"chat-{number - 1 if number % 5 == 4 else number}"
        body = {"prompt": "Revenue by region?", "conversation": conversation, "user": {"externalId": "demo-dana"}}
        asked.append((call(f"{relay}/v1/prompts", body)["promptId"], conversation))
        time.sleep(max(0, began + (number + 1) / PER_SECOND - time.monotonic()))


def until(what, holds, seconds=120):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"never: {what}")
        time.sleep(0.5)


def wait(seconds):
    time.sleep(max(0, began + seconds - time.monotonic()))


def alerts():
    found = call(f"{prometheus}/api/v1/alerts")["data"]["alerts"]
    print("alerts:", *(f"\n  {one['state']:8} {one['labels']['alertname']}: {one['annotations']['summary']}" for one in found)
          if found else [" none"], flush=True)
    return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}


def picture(name, page):
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--window-size=1280,900", f"--screenshot={pictures}/{name}.png", "--virtual-time-budget=1000"]
    subprocess.run([chromium, *arguments, f"{admin}{page}"], check=True, capture_output=True, timeout=60)
    print(f"console: {page} is in {name}.png", flush=True)


def dead():
    return store.zcard("{relay}:dead")


def terminal_entries():
    """How many each prompt has, in its conversation and for the workers."""
    ends = {"omni.answer", "omni.failed", "omni.cancelled", "omni.expired"}
    counts = []
    for streams in ([f"relay:conversation:{{{name}}}" for name in {name for _, name in asked}], ["{relay}:answers"]):
        count = collections.Counter()
        for stream in streams:
            for _, entry in store.xrange(stream):
                if entry["type"] in ends:
                    count[json.loads(entry["data"])["promptId"]] += 1
        counts.append(count)
    return counts


say(f"{PER_SECOND} prompts a second; all is well")
asking = threading.Thread(target=load)
asking.start()
wait(BEFORE - 2)
run("omni-relay doctor")
alerts()
wait(BEFORE)
flag.touch()
say("Omni's result endpoint begins to answer 503")
wait(BEFORE + 60)
say("after a minute of it")
run("omni-relay doctor")
run("omni-relay dead list --group")
alerts()
wait(BEFORE + FAULT - 5)
say("after two minutes of it")
firing = alerts()
picture("incident-overview", "/console")
picture("incident-dead-letters", "/console/dead-letters")
flag.unlink()
say("Omni's result endpoint answers again")
asking.join()


def settled():
    phases = collections.Counter(store.hget(f"{{relay}}:prompt:{prompt}", "phase") for prompt, _ in asked)
    return phases["answered"] + phases["dead"] == len(asked)


until("every prompt is answered or dead", settled)
letters = dead()
say(f"{len(asked)} prompts were asked, {letters} are dead letters, and nothing retries any more")
if letters < 100:
    sys.exit("too few letters for an incident")
run("omni-relay doctor")
firing |= alerts()
run("omni-relay dead list --group")
run("omni-relay dead replay --stage process --dry-run")
one = next(prompt for prompt, _ in asked if store.hget(f"{{relay}}:prompt:{prompt}", "phase") == "dead")
run("omni-relay dead replay --stage process --rate 20")
say("the run has ended")
run("omni-relay dead replay --stage process")
until("every prompt is answered", lambda: settled() and dead() == 0)
run("omni-relay run list")
run(f"omni-relay explain {one}")
run("omni-relay audit list --limit 3")
until("the alerts end", lambda: not call(f"{prometheus}/api/v1/alerts")["data"]["alerts"], 420)
say("no alert is left")
run("omni-relay doctor")
picture("incident-after", "/console")
of_conversations, of_workers = terminal_entries()
wrong = [prompt for prompt, _ in asked if (of_conversations[prompt], of_workers[prompt]) != (1, 1)]
say(f"{len(asked)} prompts, {sum(of_workers.values())} terminal entries for workers, {sum(of_conversations.values())} in "
    f"conversations; prompts without exactly one of each: {len(wrong)}")
print(f"incident: {letters} dead letters, fired: {', '.join(sorted(firing))}; every prompt has its one terminal entry")
sys.exit(bool(wrong) or not {"OmniRelayDeadLettersMany"} <= firing)
