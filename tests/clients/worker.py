"""A worker that reads what omni-relay publishes, with redis-py.

Without --conversation it works off {namespace}:answers as one of a group: every terminal entry goes to one worker, and
entries of a worker that died are taken over. With --conversation it follows that conversation from its beginning.

    worker.py redis://127.0.0.1:6379 relay 2 --group billing
    worker.py redis://127.0.0.1:6379 relay 3 --conversation thread-1
"""

import argparse
import json
import sys
import time
import uuid

import redis

TAKE_OVER_AFTER_MS = 30_000
REMEMBER_S = 7 * 24 * 3600


def handle(entry):
    """The work itself. It may run twice for one entry when a worker dies between this and the acknowledgement."""
    data = json.loads(entry["data"])
    text = data.get("message") or (data.get("error") or {}).get("message") or data.get("reason") or ""
    first_line = text.strip().split("\n")[0]
    print(entry["type"], entry["subject"], first_line, sep="\t", flush=True)


def work(client, namespace, group, count, deadline):
    stream = f"{{{namespace}}}:answers"
    consumer = uuid.uuid4().hex
    handled = 0
    while handled < count and time.monotonic() < deadline:
        try:
            _, entries, *_ = client.xautoclaim(stream, group, consumer, TAKE_OVER_AFTER_MS, count=10)
            if not entries:
                # A handful at a time: what is read is kept from the other workers.
                fresh = client.xreadgroup(group, consumer, {stream: ">"}, count=count - handled, block=1000)
                entries = [entry for _, part in fresh for entry in part] if fresh else []
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            # The first start, or Redis lost the group: from the beginning, never from "$", which would skip entries.
            create_group(client, stream, group)
            continue
        for stream_id, entry in entries:
            handled += settle_once(client, stream, group, stream_id, entry)
    return handled


def settle_once(client, stream, group, stream_id, entry):
    """An entry may be delivered again under another stream id: what stays the same is its `id`."""
    done = f"{stream}:{group}:done:{entry['id']}"
    first_time = not client.exists(done)
    if first_time:
        handle(entry)
    with client.pipeline(transaction=True) as pipe:
        pipe.set(done, 1, ex=REMEMBER_S)
        pipe.xack(stream, group, stream_id)
        pipe.execute()
    return first_time


def create_group(client, stream, group):
    try:
        client.xgroup_create(stream, group, id="0", mkstream=True)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def follow(client, namespace, conversation, count, deadline):
    stream = f"{namespace}:conversation:{{{conversation}}}"
    last, seen = "0", set()
    while len(seen) < count and time.monotonic() < deadline:
        for _, entries in client.xread({stream: last}, count=count, block=1000) or []:
            for last, entry in entries:
                if len(seen) < count and entry["id"] not in seen:
                    seen.add(entry["id"])
                    handle(entry)
    return len(seen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of the Redis that the relay uses")
    parser.add_argument("namespace", help="of the relay, `relay` by default")
    parser.add_argument("count", type=int, help="entries to handle before ending")
    parser.add_argument("--group", default="python-workers")
    parser.add_argument("--conversation", help="read this conversation instead, `<tenant>/<key>` for a tenant's")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for them in all")
    given = parser.parse_args()

    # A blocking read lasts a second at most; the socket waits longer, so that a slow answer is not taken for a dead one.
    client = redis.Redis.from_url(given.url, protocol=2, decode_responses=True, socket_timeout=10)
    deadline = time.monotonic() + given.timeout
    if given.conversation:
        handled = follow(client, given.namespace, given.conversation, given.count, deadline)
    else:
        handled = work(client, given.namespace, given.group, given.count, deadline)
    if handled < given.count:
        sys.exit(f"{handled} of {given.count} entries came in {given.timeout:g} s")


if __name__ == "__main__":
    main()
