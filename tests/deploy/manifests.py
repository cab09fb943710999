"""The manifests of deploy/kubernetes: every build, held against the schemas of Kubernetes, itself and the relay.

    manifests.py KUBECTL RELAY
"""

import pathlib
import re
import sys

import kubernetes_validate

import network
import relays
from cluster import KUBERNETES, RELAY, ROOT, builds, labels_of, name, need, of_kind, pod_of, ports_of, selects, workloads

# The oldest that has all that is used, and the newest that the package knows.
VERSIONS = "1.30", "1.37"


def made_by_hand():
    """What the README has operators make: the keys of each Secret and ConfigMap."""
    text = (KUBERNETES / "README.md").read_text().replace("\\\n", " ")
    made = {}
    for kind, name_, rest in re.findall(r"create (secret generic|configmap) (\S+)([^\n]*)", text):
        files = re.findall(r"--from-file=(\S+)", rest)
        made[kind.split()[0], name_] = {pathlib.Path(file).name for file in files}
    # The README says that one takes the place of four.
    made["secret", "omni-relay"].add("redis-url")
    for name_ in re.findall(r"`(\S+-tls)`", text):
        made["secret", name_] = {"tls.crt", "tls.key"}
    return made


class Given:
    """The Secrets and ConfigMaps of a build, and those made by hand: their keys."""

    def __init__(self, docs):
        self.keys = made_by_hand()
        for doc in of_kind(docs, "Secret", "ConfigMap"):
            self.keys[doc["kind"].lower(), name(doc)] = set(doc["data"])

    def need(self, where, kind, name_, keys=()):
        need((kind, name_) in self.keys, f"{where} wants the {kind} {name_}, which nobody makes")
        missing = set(keys) - self.keys[kind, name_]
        need(not missing, f"{where} wants {sorted(missing)} of the {kind} {name_}")


def pods_are_sound(build, docs, given, grace):
    for workload in workloads(docs):
        where, spec = f"{build}: {name(workload)}", pod_of(workload)["spec"]
        need(selects(workload["spec"]["selector"]["matchLabels"], labels_of(workload)), f"{where} does not select its pods")
        security = spec["securityContext"]
        confined = security["seccompProfile"] == {"type": "RuntimeDefault"}
        need(security["runAsNonRoot"] and security["runAsUser"] > 0 and confined, f"{where} may be root, or call anything")
        need(spec["automountServiceAccountToken"] is False, f"{where} gets a token of the cluster")
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        volumes |= {name(claim): {} for claim in workload["spec"].get("volumeClaimTemplates", [])}
        [container] = spec["containers"]
        container_is_sound(where, container, ports_of(workload))
        for source in container.get("envFrom", []):
            given.need(where, "configmap", source["configMapRef"]["name"])
        mounts = container.get("volumeMounts", [])
        need({mount["name"] for mount in mounts} == volumes.keys(), f"{where} mounts other volumes than it has")
        for mount in mounts:
            keys = [mount["subPath"]] if "subPath" in mount else []
            volume_is_given(where, volumes[mount["name"]], given, keys)
        if selects(RELAY, labels_of(workload)):
            relay_is_sound(where, workload, given, grace)


def container_is_sound(where, container, ports):
    security = container["securityContext"]
    closed = security["readOnlyRootFilesystem"] and security["allowPrivilegeEscalation"] is False
    need(closed and security["capabilities"] == {"drop": ["ALL"]}, f"{where} may write or gain rights")
    resources = container["resources"]
    need(resources["requests"].keys() >= {"cpu", "memory"} and "memory" in resources["limits"], f"{where} has no limits")
    probes = [container[probe] for probe in ("startupProbe", "livenessProbe", "readinessProbe") if probe in container]
    for probe in probes:
        for action in probe.keys() & {"httpGet", "tcpSocket"}:
            need(probe[action]["port"] in ports, f"{where} has no port {probe[action]['port']}")


def volume_is_given(where, volume, given, keys):
    for kind, key in ("secret", "secretName"), ("configMap", "name"):
        if kind in volume:
            keys = [*keys, *(item["key"] for item in volume[kind].get("items", []))]
            given.need(where, kind.lower(), volume[kind][key], keys)


def relay_is_sound(where, workload, given, grace):
    spec = pod_of(workload)["spec"]
    [container] = spec["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    least = pause + grace + 5
    need(spec["terminationGracePeriodSeconds"] >= least, f"{where} is killed before it is done: {least} s are needed")
    for probe, path in ("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz"):
        need(container[probe]["httpGet"] == {"path": path, "port": "http"}, f"{where}: the {probe} is not {path}")
    annotations = pod_of(workload)["metadata"]["annotations"]
    need(int(annotations["prometheus.io/port"]) in ports_of(workload).values(), f"{where} is scraped where it does not listen")
    # Each file that is mounted is asked for, and the other way round.
    files, items = set(), set()
    for mount in container["volumeMounts"]:
        [volume] = [volume for volume in spec["volumes"] if volume["name"] == mount["name"]]
        if "secret" in volume:
            items = held = {item["path"] for item in volume["secret"]["items"]}
        else:
            held = given.keys["configmap", volume["configMap"]["name"]]
        files |= {f"{mount['mountPath']}/{file}" for file in held}
    asked = {entry["value"] for entry in container["env"] if entry["value"].startswith("/")}
    need(asked == files, f"{where} mounts {sorted(files)} and asks for {sorted(asked)}")
    asks_omni = "omni-relay/omni" in labels_of(workload)
    need(asks_omni == ("omni-api-keys" in items), f"{where} has Omni's keys, or a way there, and not both")
    need(asks_omni != (name(workload) == "omni-relay-receive"), f"{where} {'has' if asks_omni else 'has no'} way to Omni")


def names_are_met(build, docs, given):
    services = {name(doc): doc for doc in of_kind(docs, "Service")}
    for service in services.values():
        behind = [doc for doc in workloads(docs) if selects(service["spec"]["selector"], labels_of(doc))]
        need(len(behind) == 1, f"{build}: the Service {name(service)} has {len(behind)} workloads behind it")
        for port in service["spec"]["ports"]:
            need(port["targetPort"] in ports_of(behind[0]), f"{build}: {name(service)} goes to a port {port['targetPort']}")
    for ingress in of_kind(docs, "Ingress"):
        for tls in ingress["spec"]["tls"]:
            given.need(f"{build}: {name(ingress)}", "secret", tls["secretName"])
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = [port["name"] for port in services.get(backend["name"], {"spec": {"ports": []}})["spec"]["ports"]]
                need(backend["port"]["name"] in ports, f"{build}: {name(ingress)} goes to {backend}")
    for workload in relays.relays(docs):
        budgets = [doc["spec"].get("selector", {}).get("matchLabels", {}) for doc in of_kind(docs, "PodDisruptionBudget")]
        kept = [budget for budget in budgets if selects(budget, labels_of(workload))]
        need(len(kept) == 1, f"{build}: {len(kept)} budgets are for {name(workload)}")
    for stateful in of_kind(docs, "StatefulSet"):
        need(stateful["spec"]["serviceName"] in services, f"{build}: {name(stateful)} has no Service")


def are_valid(build, docs):
    for doc in docs:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(doc, version, strict=True)
            except Exception as error:
                what = getattr(error, "message", error)
                where = ".".join(map(str, getattr(error, "absolute_path", ())))
                sys.exit(f"manifests: {build}: {doc['kind']} {name(doc)}, by the schema of {version}: {where}: {what}")


def main(kubectl, relay):
    grace = int(re.search(r"GRACE: Duration = Duration::from_secs\((\d+)\)", (ROOT / "src/cli/serve.rs").read_text())[1])
    valid = taken = 0
    whole = builds(kubectl)
    for build, docs in whole.items():
        valid += len(docs)
        are_valid(build, docs)
        given = Given(docs)
        pods_are_sound(build, docs, given, grace)
        names_are_met(build, docs, given)
        network.check(build, docs)
        taken += relays.taken(relay, build, docs)
    print(f"deploy: {valid} Kubernetes manifests are valid, by the schemas of {' and '.join(VERSIONS)}")
    print(f"deploy: the relay takes the environment of {taken} Deployments in {len(whole)} builds")


if __name__ == "__main__":
    main(*sys.argv[1:])
