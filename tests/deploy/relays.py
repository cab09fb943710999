"""The relays that the manifests describe, as processes of this machine.

    relays.py stage KUBECTL RELAY FOLDER PORT...   the Deployments of the trial: FOLDER/<name>/run; Redis is on the first port
    relays.py look FOLDER                          what their probes and Prometheus are answered
    relays.py ask FOLDER                           whether a question is answered
    relays.py denied PORT                          whether Redis denied anybody anything
"""

import json
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from cluster import KUBERNETES, kustomize, labels_of, name, need, of_kind, pod_of, ports_of, relays, secrets, selects

ROLES = "receive", "submit", "process", "api"
# What a Secret made by hand may hold.
MADE = {
    "omni-api-keys": "key-one,key-two",
    "webhook-secrets": "0123456789abcdef0123456789abcdef",
    "token-secrets": "fedcba9876543210fedcba9876543210",
    "caller-chat": "sha256:" + "0f" * 32,
}
ONE, CLUSTER = "redis://a:b@redis:6379", "redis+cluster://a:b@redis:6379"
SENTINEL = "redis+sentinel://a:b@redis-sentinel:26379/master"
REDIS = {
    "overlays/sentinel": [SENTINEL],
    "overlays/managed": ["rediss://a:b@redis.example.com:6380"],
    "roles": [ONE],
    "all-in-one": [ONE, CLUSTER, SENTINEL.replace("redis+", "rediss+"), CLUSTER.replace("redis+", "rediss+")],
}


def environment(docs, workload, values, folder):
    """The variables of a workload's container, and its secrets as files in `folder`."""
    maps = {name(doc): doc["data"] for doc in of_kind(docs, "ConfigMap")}
    spec = pod_of(workload)["spec"]
    [container] = spec["containers"]
    env = {}
    for source in container.get("envFrom", []):
        env |= maps[source["configMapRef"]["name"]]
    env |= {entry["name"]: entry["value"] for entry in container.get("env", [])}
    for volume in spec.get("volumes", []):
        [mount] = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == volume["name"]]
        env = {key: value.replace(f"{mount}/", f"{folder}/") for key, value in env.items()}
        for item in volume.get("secret", {}).get("items", []):
            (folder / item["path"]).write_text(values[item["key"]])
    return env


def taken(relay, build, docs):
    """How many Deployments there are, each of which tells the relay what it can start with."""
    for workload in relays(docs):
        for url in REDIS.get(build, [None]):
            made = MADE | dict.fromkeys(["redis-url", *(f"redis-url-{role}" for role in ROLES)], url)
            with tempfile.TemporaryDirectory() as folder:
                env = environment(docs, workload, secrets(docs) or made, pathlib.Path(folder))
                checked = subprocess.run([relay, "config", "check"], env=env, capture_output=True, text=True)
            said = (checked.stdout + checked.stderr).strip()
            need(checked.returncode == 0, f"{build}: the relay refuses what {name(workload)} tells it: {said}")
    return len(relays(docs))


def stage(kubectl, relay, folder, ports):
    """Addresses are changed, and nothing else."""
    docs = kustomize(kubectl, KUBERNETES / "overlays/trial")
    ports = list(map(int, ports))
    here, listening = {"redis:6379": ports.pop(0)}, {}
    for workload in of_kind(docs, "Deployment"):
        listening[name(workload)] = {port: ports.pop(0) for port in ports_of(workload)}
    for service in of_kind(docs, "Service"):
        for workload in of_kind(docs, "Deployment"):
            if selects(service["spec"]["selector"], labels_of(workload)):
                [port] = service["spec"]["ports"]
                address = name(service) if port["port"] == 80 else f"{name(service)}:{port['port']}"
                here[address] = listening[name(workload)][port["targetPort"]]
    values = secrets(docs)
    for workload in of_kind(docs, "Deployment"):
        local = {f"0.0.0.0:{ports_of(workload)[port]}": f"127.0.0.1:{at}" for port, at in listening[name(workload)].items()}

        def moved(text):
            for address, port in here.items():
                text = re.sub(rf"(//|@){re.escape(address)}(?=/|$)", rf"\g<1>127.0.0.1:{port}", text)
            return local.get(text, text)

        own = folder / name(workload)
        own.mkdir(parents=True)
        env = environment(docs, workload, {key: moved(value) for key, value in values.items()}, own)
        [container] = pod_of(workload)["spec"]["containers"]
        words = [f"{key}={moved(value)}" for key, value in env.items()] + [relay, *map(moved, container["args"])]
        (own / "run").write_text(f"exec env -i {shlex.join(words)}\n")
    found = {}
    for workload in relays(docs):
        [container] = pod_of(workload)["spec"]["containers"]
        at, annotations = listening[name(workload)], pod_of(workload)["metadata"]["annotations"]
        [scraped] = [at[port] for port, number in ports_of(workload).items() if str(number) == annotations["prometheus.io/port"]]
        found[name(workload)] = {
            "probes": [f"http://127.0.0.1:{at[probe['port']]}{probe['path']}" for probe in probes(container)],
            "metrics": f"http://127.0.0.1:{scraped}{annotations['prometheus.io/path']}",
        }
    plan = {"relays": found, "api": f"http://127.0.0.1:{here['omni-relay-api']}", "key": values["caller-chat"]}
    (folder / "plan.json").write_text(json.dumps(plan))


def probes(container):
    return [container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]


def answer(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answered:
            return answered.status, answered.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return None, str(error)


def plan(folder):
    return json.loads((folder / "plan.json").read_text())


def look(folder):
    until = time.monotonic() + 30
    for relay, at in plan(folder)["relays"].items():
        for url in at["probes"]:
            while (said := answer(url))[0] != 200 and time.monotonic() < until:
                time.sleep(0.1)
            need(said[0] == 200, f"{relay}: the probe {url} is answered {said}")
        status, metrics = answer(at["metrics"])
        need(status == 200 and "\nomni_relay_" in metrics, f"{relay}: {at['metrics']} is answered {status}, which is no metrics")
    print(f"deploy: the probes of {len(plan(folder)['relays'])} relays are answered, and Prometheus would scrape each")


def ask(folder):
    api, key = plan(folder)["api"], plan(folder)["key"]
    program = KUBERNETES.parents[1] / "tests/clients/ask.py"
    words = [sys.executable, program, api, "thread", "Revenue by month?"]
    asked = subprocess.run(words, env={"OMNI_RELAY_KEY": key}, capture_output=True, text=True)
    need(asked.stdout.startswith("omni.answer"), f"a question to the trial ends in {asked.stdout}{asked.stderr}")
    print("deploy: the roles of the manifests, apart and each with its own login at Redis, answered a question")


def denied(port):
    with socket.create_connection(("127.0.0.1", port), 5) as redis:
        redis.sendall(b"ACL LOG\r\n")
        said = redis.recv(65536)
    need(said == b"*0\r\n", f"Redis denied a role what it does: {said.decode()}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case "stage", kubectl, relay, folder, *ports:
            stage(kubectl, relay, pathlib.Path(folder), ports)
        case "look", folder:
            look(pathlib.Path(folder))
        case "ask", folder:
            ask(pathlib.Path(folder))
        case "denied", port:
            denied(int(port))
        case _:
            sys.exit(__doc__)
