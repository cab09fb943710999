"""The systemd unit, as far as it can be held against a relay without systemd.

    unit.py allowed UNIT         the system calls that its filter lets through, as strace takes them
    unit.py look UNIT CALLS      what strace saw of a relay that had no others, in FILE
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What every process of glibc tries, and does without.
TRIED = {"AF_NETLINK"}


def need(condition, message):
    if not condition:
        sys.exit(f"unit: {message}")


def settings(unit):
    """The [Service] section; a setting may come several times."""
    service = pathlib.Path(unit).read_text().split("[Service]")[1].split("\n[")[0]
    found = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", service, re.M):
        found.setdefault(key, []).append(value)
    return found


def expand(name):
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    names = [line.strip() for line in listed.splitlines()[1:]]
    return set().union(*(expand(line) for line in names if line and not line.startswith("#")))


def allowed(unit):
    calls = set()
    for line in settings(unit)["SystemCallFilter"]:
        names = set().union(*(expand(name) for name in line.lstrip("~").split()))
        calls = calls - names if line.startswith("~") else calls | names
    return calls


def look(unit, traced):
    service = settings(unit)
    lines = [line.split(maxsplit=1)[1] for line in pathlib.Path(traced).read_text(errors="replace").splitlines()]
    refused = {line.split("(")[0] for line in lines if "(INJECTED)" in line}
    need(not refused, f"the relay uses {sorted(refused)}, which the filter refuses")
    families = {family for line in lines for family in re.findall(r"^socket\((AF_\w+)", line)}
    families -= set(service["RestrictAddressFamilies"][0].split()) | TRIED
    need(not families, f"the relay uses {sorted(families)}, which are restricted")
    need(not [line for line in lines if re.search(r"PROT_WRITE\|PROT_EXEC", line)], "the relay makes memory that it runs")
    opened = r'^open(?:at)?\((?:AT_FDCWD, )?"([^"]+)", [^)]*(?:O_WRONLY|O_RDWR|O_CREAT)'
    written = {path for line in lines for path in re.findall(opened, line)}
    need(written <= {"/dev/null"}, f"the relay writes {sorted(written)}, and may write nothing")
    used = {match[1] for line in lines if (match := re.match(r"(\w+)\(", line))}
    print(f"deploy: under the unit's filter the relay answers, reloads and ends, with {len(used)} of {len(allowed(unit))} system calls")


def timing(unit):
    service = settings(unit)
    [grace] = re.findall(r"GRACE: Duration = Duration::from_secs\((\d+)\)", (ROOT / "src/cli/serve.rs").read_text())
    need(int(service["TimeoutStopSec"][0]) >= int(grace) + 5, f"the relay is killed before its {grace} s are over")


if __name__ == "__main__":
    match sys.argv[1:]:
        case "allowed", unit:
            timing(unit)
            print(*(f"?{call}" for call in sorted(allowed(unit))), sep=",")
        case "look", unit, traced:
            look(unit, traced)
        case _:
            sys.exit(__doc__)
