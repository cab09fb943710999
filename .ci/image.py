"""What an image says of itself: labels, user, health check, and what it was made of.

    image.py IMAGE        .ci/requirements.txt must be importable; needs docker and objcopy
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import zlib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

LABELS = ["title", "description", "version", "revision", "source", "licenses"]


def run(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def contents(image, folder):
    """The SBOM and the packages that the binary names, out of the image's files."""
    container = run("docker", "create", image)
    try:
        for file in "/usr/share/omni-relay.cdx.json", "/usr/local/bin/omni-relay":
            run("docker", "cp", f"{container}:{file}", folder)
    finally:
        run("docker", "rm", container)
    section = folder / "packages"
    run("objcopy", "--dump-section", f".dep-v0={section}", folder / "omni-relay", "/dev/null")
    named = json.loads(zlib.decompress(section.read_bytes()))["packages"]
    return (folder / "omni-relay.cdx.json").read_text(), {(each["name"], each["version"]) for each in named}


def main():
    (image,) = sys.argv[1:]
    (inspected,) = json.loads(run("docker", "inspect", image))
    config = inspected["Config"]
    labels = {name: config["Labels"][f"org.opencontainers.image.{name}"] for name in LABELS}
    said = run("docker", "run", "--rm", image, "--version")
    assert said == f"omni-relay {labels['version']}", f"{said}, and the label says {labels['version']}"
    assert labels["revision"] == run("git", "rev-parse", "HEAD"), labels
    assert config["User"] == "65532:65532", config["User"]
    assert config["Healthcheck"]["Test"] == ["CMD", "omni-relay", "health"], config["Healthcheck"]

    with tempfile.TemporaryDirectory() as folder:
        text, named = contents(image, pathlib.Path(folder))
    if error := JsonStrictValidator(SchemaVersion.V1_5).validate_str(text):
        sys.exit(f"the SBOM is not what CycloneDX 1.5 wants: {error}")
    sbom = json.loads(text)
    listed = {(each["name"], each["version"]) for each in [sbom["metadata"]["component"], *sbom["components"]]}
    assert named == listed, f"only in the binary: {named - listed}; only in the SBOM: {listed - named}"
    print(f"the image has {inspected['Size']} bytes; its SBOM is valid and lists the {len(listed)} packages that the binary names")


if __name__ == "__main__":
    main()
