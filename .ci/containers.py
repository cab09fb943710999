"""The compose file as it is shipped, on a container engine: two relays, Redis, Prometheus and the simulator.

    containers.py IMAGE         an image of the relay; the others are there under the names of deploy/compose.yaml

Asks through each relay, stops one with a question in flight, and looks at what Prometheus sees. Prints how long a relay takes
to be ready, and how much memory it holds at rest.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROJECT = "omni-relay-ci"
RELAYS = {"relay-1": 18080, "relay-2": 18082}
PROMETHEUS = 18090
# Grafana is in no package to make an image of; a test (observability::) looks at what is mounted into it.
SERVICES = [*RELAYS, "prometheus", "simulator"]
KEY = "simulated-caller-key"  # of deploy/simulator.env


def run(*command, **options):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout.strip()


def compose(image, *arguments):
    environment = os.environ | {
        "OMNI_RELAY_IMAGE": image,
        "RELAY_ENV": "simulator.env",
        "RELAY_PORT": str(RELAYS["relay-1"]),
        "RELAY_2_PORT": str(RELAYS["relay-2"]),
        "PROMETHEUS_PORT": str(PROMETHEUS),
    }
    files = ["-f", str(ROOT / "deploy/compose.yaml"), "--profile", "simulator"]
    return run("docker-compose", "-p", PROJECT, *files, *arguments, env=environment)


def inspect(what, template):
    return run("docker", "inspect", "--format", template, what)


def healthy(container):
    return inspect(container, "{{.State.Health.Status}}") == "healthy"


def call(port, path, body=None, timeout=90):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return json.load(response)


def wait_for(what, condition, seconds=60, pause=0.2):
    """What the condition gives, once it gives something; an error of the connection is nothing."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if found := condition():
                return found
        time.sleep(pause)
    sys.exit(f"{what}: not after {seconds} s")


def ready(port):
    return call(port, "/readyz", timeout=2)["ready"]


def ask(relay, conversation):
    port = RELAYS[relay]
    answered = call(port, "/v1/prompts?wait=60", {"prompt": "How did sales develop by month?", "conversation": conversation})
    ended = answered.get("entry", {}).get("type", answered["phase"])
    print(f"asked through {relay}: {ended}")
    assert ended == "omni.answer", answered


def stop_one(container):
    """A question of relay-1 is answered by relay-2."""
    question = {"prompt": "[sim:slow=10s] What sold best?", "conversation": "thread-3"}
    prompt = f"/v1/prompts/{call(RELAYS['relay-1'], '/v1/prompts', question)['promptId']}"
    wait_for("the question's job", lambda: call(RELAYS["relay-1"], prompt)["phase"] == "submitted", pause=0.05)
    began = time.monotonic()
    run("docker", "stop", "--time", "30", container)
    code = inspect(container, "{{.State.ExitCode}}")
    assert code == "0", f"relay-1 ended with {code}"
    before = call(RELAYS["relay-2"], prompt)["phase"]
    answered = call(RELAYS["relay-2"], f"{prompt}?wait=60")
    took = time.monotonic() - began
    ended = answered.get("entry", {}).get("type", answered["phase"])
    print(f"relay-1 stopped with a question in flight ({before}): {ended} through relay-2, {took:.1f} s later")
    assert (before, ended) == ("submitted", "omni.answer"), answered


def start_again(container):
    """The time from `docker start` to the first ready answer, and the memory that is held then."""
    began = time.monotonic()
    run("docker", "start", container)
    wait_for("relay-1", lambda: ready(RELAYS["relay-1"]), pause=0.01)
    took = (time.monotonic() - began) * 1000
    status = pathlib.Path("/proc", inspect(container, "{{.State.Pid}}"), "status").read_text()
    resident = re.search(r"^VmRSS:\s*(.*)$", status, re.MULTILINE)[1]
    print(f"from start to ready: {took:.0f} ms; resident memory at rest: {resident}")


def query(expression):
    return call(PROMETHEUS, f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")["data"]["result"]


def look_at_prometheus():
    wait_for("both relays in Prometheus", lambda: len(query('up{job="omni-relay"} == 1')) == len(RELAYS))

    def evaluated():
        groups = call(PROMETHEUS, "/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        bad = [rule for rule in rules if rule["health"] == "err"]
        assert not bad, bad
        return rules if rules and all(rule["health"] == "ok" for rule in rules) else None

    rules = wait_for("the rules", evaluated)
    panels = json.loads((ROOT / "deploy/grafana/omni-relay.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    for expression in expressions:
        try:
            query(expression)
        except urllib.error.HTTPError as error:
            sys.exit(f"the dashboard asks {expression}: {error.read().decode(errors='replace')}")
    print(
        f"Prometheus: {len(RELAYS)} relays up, {len(rules)} rules evaluated,"
        f" {len(expressions)} expressions of the dashboard taken"
    )


def main():
    (image,) = sys.argv[1:]
    try:
        compose(image, "up", "-d", "--no-build", *SERVICES)
        containers = {relay: compose(image, "ps", "-q", relay) for relay in RELAYS}
        wait_for("both relays' health", lambda: all(map(healthy, containers.values())))
        print("healthy by the image's own check: both relays")
        for number, relay in enumerate(RELAYS, 1):
            ask(relay, f"thread-{number}")
        stop_one(containers["relay-1"])
        start_again(containers["relay-1"])
        look_at_prometheus()
    except BaseException:
        print(compose(image, "logs", "--no-color", "--tail", "20"), file=sys.stderr)
        raise
    finally:
        compose(image, "down", "-v", "--timeout", "10")


if __name__ == "__main__":
    main()
