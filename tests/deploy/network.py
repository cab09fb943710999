"""Who reaches whom by the NetworkPolicies of a build."""

import ipaddress

from cluster import RELAY, labels_of, name, need, of_kind, ports_of, selects, workloads


class Peer:
    """One end of a connection: a pod of the build's namespace, one elsewhere, or an address outside."""

    def __init__(self, what, labels=None, namespace=None, address=None, ports=None):
        self.what, self.labels, self.ports = what, labels or {}, ports or {}
        self.namespace, self.address = namespace, address

    def is_in(self, peers):
        return any(self.fits(peer) for peer in peers)

    def fits(self, peer):
        if "ipBlock" in peer:
            return self.address is not None and within(self.address, peer["ipBlock"])
        if self.address is not None:
            return False
        spaces = peer.get("namespaceSelector")
        if spaces is None:
            here = self.namespace is None
        else:
            here = self.namespace is not None and selects(matching(spaces), {"kubernetes.io/metadata.name": self.namespace})
        return here and selects(matching(peer.get("podSelector", {})), self.labels)


def matching(selector):
    unknown = selector.keys() - {"matchLabels"}
    need(not unknown, f"a NetworkPolicy uses {unknown}, which this check does not know")
    return selector.get("matchLabels", {})


def within(address, block):
    networks = [ipaddress.ip_network(network) for network in (block["cidr"], *block.get("except", []))]
    inside = [ipaddress.ip_address(address) in network for network in networks]
    return inside[0] and not any(inside[1:])


def reaches(docs, source, target, port, protocol="TCP"):
    """Both ends must let a connection pass; those elsewhere have no policies here."""
    out = lets_pass(docs, source, "Egress", target, target, port, protocol)
    return out and lets_pass(docs, target, "Ingress", source, target, port, protocol)


def lets_pass(docs, pod, direction, other, target, port, protocol):
    if pod.namespace is not None or pod.address is not None:
        return True
    specs = [policy["spec"] for policy in of_kind(docs, "NetworkPolicy")]
    policies = [
        spec for spec in specs if selects(matching(spec["podSelector"]), pod.labels) and direction in spec["policyTypes"]
    ]

    def opens(rule):
        ports = [target.ports.get(entry["port"], entry["port"]) for entry in rule["ports"] if entry["protocol"] == protocol]
        return port in ports and other.is_in(rule["from" if direction == "Ingress" else "to"])

    return not policies or any(opens(rule) for spec in policies for rule in spec.get(direction.lower(), []))


def check(build, docs):
    pods = {name(doc): Peer(name(doc), labels_of(doc), ports=ports_of(doc)) for doc in workloads(docs)}
    for policy in of_kind(docs, "NetworkPolicy"):
        selector = matching(policy["spec"]["podSelector"])
        need(any(selects(selector, pod.labels) for pod in pods.values()), f"{build}: {name(policy)} is for nobody")
    redis = pods.get("redis", Peer("redis", {"app.kubernetes.io/name": "redis"}))
    elsewhere = {space: Peer(space, {}, namespace=space) for space in ("ingress-nginx", "monitoring", "default")}
    caller, stranger = Peer("a caller", {"omni-relay/caller": "true"}), Peer("a pod", {})
    names = Peer("names", {}, namespace="kube-system")
    omni, metadata = Peer("Omni", address="203.0.113.10"), Peer("the machine", address="169.254.169.254")
    private, managed = Peer("a private address", address="10.0.0.10"), Peer("managed Redis", address="10.20.0.10")
    sentinel = Peer("a Sentinel", {"app.kubernetes.io/name": "redis-sentinel"})

    def expect(wanted, source, target, port, protocol="TCP"):
        is_so = reaches(docs, source, target, port, protocol)
        need(is_so == wanted, f"{build}: {source.what} {'does not reach' if wanted else 'reaches'} port {port} of {target.what}")

    for pod in (pod for pod in pods.values() if selects(RELAY, pod.labels)):
        receives, answers, asks = (f"omni-relay/{what}" in pod.labels for what in ("receive", "api", "omni"))
        http, admin = pod.ports["http"], pod.ports["admin"]
        expect(True, pod, redis, 6379)
        expect(True, pod, names, 53, "UDP")
        expect(asks, pod, omni, 443)
        expect(False, pod, omni, 80)
        expect("simulator" in pods and asks, pod, pods.get("simulator", stranger), 4010)
        expect("simulator" in pods and receives, pods.get("simulator", stranger), pod, http)
        expect(build == "overlays/sentinel", pod, sentinel, 26379)
        expect(build == "overlays/managed", pod, managed, 6380)
        for target in metadata, private:
            expect(False, pod, target, 443)
            expect(False, pod, target, 6379)
        expect(receives or answers, elsewhere["ingress-nginx"], pod, http)
        expect(True, elsewhere["monitoring"], pod, admin)
        expect(answers, caller, pod, http)
        for source in (stranger, caller, elsewhere["ingress-nginx"], elsewhere["default"]):
            expect(False, source, pod, admin)
        for source in (stranger, elsewhere["default"], elsewhere["monitoring"]):
            expect(False, source, pod, http)
    if "redis" in pods:
        for source in (stranger, caller, pods["simulator"], *elsewhere.values()):
            expect(False, source, redis, 6379)
