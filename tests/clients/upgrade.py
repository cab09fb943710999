"""Plays the upgrade of upgrade.sh: replicas of two versions replace each other under load, and every prompt must end once.

    upgrade.py PREVIOUS NEW FOLDER BALANCER_PORT PORT...

Two ports go to each relay that is started. While FOLDER/results-fail exists, Omni's results fail.
"""

import atexit
import collections
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import redis
import worker
from balancer import Balancer

previous, new, folder, balancer_port, *ports = sys.argv[1:]
folder = pathlib.Path(folder)
flag = folder / "results-fail"
store = redis.Redis.from_url(os.environ["OMNI_RELAY__REDIS__URL"], protocol=2, decode_responses=True, socket_timeout=10)
balancer = Balancer(int(balancer_port))
ENDS = {"omni.answer", "omni.failed", "omni.cancelled", "omni.expired"}
CLIENTS, STEP = 6, 4
QUESTIONS = ["", "", "[sim:twice]", "[sim:slow=6s]", "[sim:failed]", "[sim:late=2s]", "[sim:forged]", "[sim:slow=30s]"]
USERS = ["demo-dana", "emea-anna", "apac-kenji"]

# Ids of prompts by what made them; names of conversations.
asked, conversations, pushed = {}, set(), []
codes, handled = collections.Counter(), collections.Counter()
again, wrong = [], []
began, over, read_out = time.monotonic(), threading.Event(), threading.Event()


def say(text):
    print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)


def until(what, holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            wrong.append(f"never: {what}")
            return
        time.sleep(0.1)


# ---- who asks


class Client:
    """Keeps its connection, as programs do. What is cut on it before an answer begins is sent again."""

    def __init__(self):
        self.connection = None

    def open(self, method, path, body=None, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        while True:
            kept, self.connection = self.connection, None
            connection = kept or http.client.HTTPConnection("127.0.0.1", int(balancer_port), timeout=90)
            try:
                connection.request(method, path, body and json.dumps(body), headers)
                answer = connection.getresponse()
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                again.append(path)
                if not kept:
                    # A replica takes what reaches it until it is out of the balancer: only what was kept may be closed.
                    wrong.append(f"{method} {path} was cut on a new connection: {error!r}")
                    time.sleep(0.1)
                continue
            if path.startswith("/v1/prompts?"):
                codes[answer.status] += 1
            if answer.status >= 300:
                wrong.append(f"{method} {path} was answered {answer.status}")
            self.connection = None if answer.will_close else connection
            return answer

    def call(self, *request):
        return json.loads(self.open(*request).read())

    def ask(self, conversation, number, wait):
        text = f"Revenue by region? {QUESTIONS[number % len(QUESTIONS)]}"
        # A conversation is one user's.
        user = USERS[sum(conversation.encode()) % len(USERS)]
        body = {"prompt": text, "conversation": conversation, "user": {"externalId": user}}
        key = f"{conversation}-{number}"
        conversations.add(conversation)
        prompt = self.call("POST", f"/v1/prompts?wait={wait}", body, {"Idempotency-Key": key})["promptId"]
        asked[key] = prompt
        return prompt

    def follow(self, conversation, prompt):
        """Reads its events until its end, going on where a stream broke off."""
        last, read, is_over = {}, set(), False
        while not is_over:
            reader = Client()
            answer = reader.open("GET", f"/v1/conversations/{conversation}/events?until={prompt}", None, last)
            if answer.status == 204:
                wrong.append(f"no end of {prompt} was read, and nothing is left to read")
                return
            try:
                for line in answer:
                    if line.startswith(b"id: "):
                        last = {"Last-Event-ID": line[4:].strip().decode()}
                        if line in read:
                            wrong.append(f"{conversation} was read twice at {line}")
                        read.add(line)
                    elif line.startswith(b"data: "):
                        entry = json.loads(line[6:])
                        is_over |= entry["data"].get("promptId") == prompt and entry["type"] in ENDS
            except (http.client.HTTPException, OSError):
                pass
            answer.close()


def ask_on(name):
    client, number = Client(), 0
    while not over.is_set():
        kind, number = number % len(QUESTIONS), number + 1
        # Follow-ups stand in the conversation before, behind what may still run there.
        conversation = f"{name}-{number // 3}"
        prompt = client.ask(conversation, kind, 3 if kind == 1 else 0)
        if kind == len(QUESTIONS) - 1:
            client.call("POST", f"/v1/prompts/{prompt}/cancel")
        elif kind % 3 == 2:
            client.follow(conversation, prompt)
        time.sleep(0.4)


def push_on():
    while not over.is_set():
        conversation = f"pushed-{len(pushed)}"
        body = {"prompt": "Revenue by month?", "conversation": conversation, "user": {"externalId": USERS[0]}}
        pushed.append(store.xadd("{relay}:intake", {"data": json.dumps(body)}))
        conversations.add(conversation)
        time.sleep(0.8)


def work():
    """As worker.py does: a group, each entry once."""
    while not read_out.is_set():
        worker.work(store, "relay", "upgrade", 1_000_000, time.monotonic() + 1)


def note(entry):
    if entry["type"] in ENDS:
        handled[json.loads(entry["data"])["promptId"]] += 1


# ---- replicas


class Relay:
    started = 0

    def __init__(self, binary):
        Relay.started += 1
        self.port, admin = int(ports.pop()), ports.pop()
        self.admin, self.name = int(admin), f"relay-{Relay.started} ({'new' if binary == new else 'previous'})"
        self.log = folder / f"relay-{Relay.started}.log"
        listens = {"OMNI_RELAY__HTTP__LISTEN": f"127.0.0.1:{self.port}", "OMNI_RELAY__HTTP__ADMIN_LISTEN": f"127.0.0.1:{admin}"}
        self.process = subprocess.Popen(
            [binary, "serve"], env={**os.environ, **listens}, stdout=self.log.open("wb"), stderr=subprocess.STDOUT)
        atexit.register(self.process.kill)
        balancer.known.add(self.port)
        until(f"{self.name} is ready", lambda: self.port in balancer.ready)

    def stop(self):
        """Out of the balancer first, then SIGTERM, as an orchestrator does."""
        admin = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        admin.request("POST", "/drain")
        if admin.getresponse().status != 200:
            wrong.append(f"{self.name} does not drain")
        until(f"{self.name} is out", lambda: self.port not in balancer.ready)
        self.process.send_signal(signal.SIGTERM)
        result = self.process.wait(timeout=40)
        balancer.known.discard(self.port)
        if result != 0:
            wrong.append(f"{self.name} ended with {result}")
        said = [line for line in self.log.read_text().splitlines() if "ERROR" in line]
        wrong.extend(f"{self.name} said: {line}" for line in said[:3])


def letters():
    return store.zcard("{relay}:dead")


def replay(operator):
    """What died is asked again, of whichever version answers."""
    dead = operator.call("GET", "/v1/dead-letters?limit=200")["items"]
    for letter in dead:
        operator.call("POST", f"/v1/dead-letters/{letter['id']}/replay")
    return len(dead)


def replace(fleet, binary):
    """Each replica by one of another version. Meanwhile both are there, and letters die under one and live under the other."""
    operator, replayed = Client(), 0
    for old in list(fleet):
        fleet.append(Relay(binary))
        say(f"{fleet[-1].name} joins {', '.join(relay.name for relay in fleet[:-1])}")
        flag.touch()
        time.sleep(STEP)
        flag.unlink()
        old.stop()
        fleet.remove(old)
        replayed += replay(operator)
        time.sleep(STEP)
    say(f"all of them are {'new' if binary == new else 'previous'}; {replayed} dead letters were replayed on the way")
    return replayed


# ---- what is left


def ended():
    """How many terminal entries each prompt has, in its conversation and for workers; and whose prompts were pushed."""
    counts, ids = [], {}
    for streams in ([f"relay:conversation:{{{name}}}" for name in conversations], ["{relay}:answers"]):
        count = collections.Counter()
        for stream in streams:
            for _, entry in store.xrange(stream):
                prompt = json.loads(entry["data"])["promptId"]
                ids.setdefault(entry["subject"], set()).add(prompt)
                count[prompt] += entry["type"] in ENDS
        counts.append(count)
    return counts, ids


def prompts():
    ids = ended()[1]
    return [*asked.values(), *(prompt for n in range(len(pushed)) for prompt in ids.get(f"pushed-{n}", [f"lost-{n}"]))]


def is_done():
    counts, _ = ended()
    return all(count[prompt] for prompt in prompts() for count in counts)


worker.handle = note
threading.excepthook = lambda died: wrong.append(f"{died.thread.name} died: {died.exc_value!r}")
fleet = [Relay(previous), Relay(previous)]
say("two relays of the previous version; the load begins")
load = [threading.Thread(target=ask_on, args=[f"chat-{n}"], daemon=True) for n in range(CLIENTS)]
load.append(threading.Thread(target=push_on, daemon=True))
workers = [threading.Thread(target=work, daemon=True) for _ in range(2)]
for thread in load + workers:
    thread.start()
time.sleep(STEP)
replayed = [replace(fleet, binary) for binary in (new, previous, new)]
over.set()
operator = Client()
until("whoever asked reads its ends", lambda: (replay(operator), not any(thread.is_alive() for thread in load))[1], 90)
until("every prompt ends", lambda: (replay(operator), is_done())[1], 90)
until("workers read every end", lambda: len(handled) >= len(prompts()))
read_out.set()
for thread in workers:
    thread.join()
for relay in fleet:
    relay.stop()

(in_conversations, for_workers), ids = ended()
whole = prompts()
ends = [(in_conversations[prompt], for_workers[prompt], handled[prompt]) for prompt in whole]
lost = sum(0 in counts for counts in ends)
twice = sum(max(counts) > 1 for counts in ends) + (len(whole) - len(set(whole)))
created = len(re.findall(r"^.*POST \S*/jobs 201", (folder / "simulator.log").read_text(), re.M))
with_job = sum(store.hexists(f"{{relay}}:prompt:{prompt}", "jobId") for prompt in whole)
if created != with_job:
    wrong.append(f"Omni was asked {created} times for {with_job} prompts")
if strange := set(codes) - {200, 202}:
    wrong.append(f"prompts were answered {strange}")
if not all(replayed):
    wrong.append(f"too few dead letters: {replayed}")
if strange := {*for_workers, *in_conversations} - {*whole}:
    wrong.append(f"{len(strange)} prompts ended that nobody asked")
for text in wrong[:20]:
    print(f"upgrade: {text}")
print(f"upgrade: {len(whole)} prompts ({dict(sorted(codes.items()))}, {len(again)} connections were cut and tried again), "
      f"{sum(for_workers.values())} terminal entries, {twice} twice, {lost} lost, {len(balancer.failures)} answers of 5xx")
sys.exit(bool(wrong or twice or lost or balancer.failures))
