"""Reads deploy/kubernetes as kustomize composes it."""

import base64
import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
RELAY = {"app.kubernetes.io/name": "omni-relay"}


def need(condition, message):
    if not condition:
        sys.exit(f"manifests: {message}")


def kustomize(kubectl, folder):
    built = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    need(built.returncode == 0 and not built.stderr, f"{folder} does not compose: {built.stderr.strip()}")
    return list(yaml.load_all(built.stdout, yaml.CSafeLoader))


def builds(kubectl):
    """What is for use as it is, by its folder: the two that overlays stand on, and what nothing else stands on."""
    files = {file.parent: yaml.safe_load(file.read_text()) for file in sorted(KUBERNETES.rglob("kustomization.yaml"))}
    used = {
        (folder / path).resolve()
        for folder, kustomization in files.items()
        for path in kustomization.get("resources", []) + kustomization.get("components", [])
    }
    whole = {folder for folder in files if folder.parent.name == "overlays"} | {KUBERNETES / "roles", KUBERNETES / "all-in-one"}
    unused = files.keys() - used - whole
    need(not unused, f"no overlay has {sorted(folder.name for folder in unused)}")
    return {str(folder.relative_to(KUBERNETES)): kustomize(kubectl, folder) for folder in sorted(whole)}


def of_kind(docs, *kinds):
    return [doc for doc in docs if doc["kind"] in kinds]


def name(doc):
    return doc["metadata"]["name"]


def selects(selector, labels):
    return selector.items() <= labels.items()


def workloads(docs):
    return of_kind(docs, "Deployment", "StatefulSet")


def pod_of(workload):
    return workload["spec"]["template"]


def labels_of(workload):
    return pod_of(workload)["metadata"]["labels"]


def ports_of(workload):
    containers = pod_of(workload)["spec"]["containers"]
    return {port["name"]: port["containerPort"] for container in containers for port in container["ports"]}


def relays(docs):
    return [doc for doc in of_kind(docs, "Deployment") if selects(RELAY, labels_of(doc))]


def secrets(docs):
    """What the Secrets of a build hold."""
    return {
        key: base64.b64decode(value).decode() for doc in of_kind(docs, "Secret") for key, value in doc["data"].items()
    }
