"""Leaves a relay with something to see: an answered prompt in the conversation `prepared`, whose id is printed, and dead
letters.

    RELAY_KEY=... prepare.py http://127.0.0.1:8080 PORT_OF_REDIS
"""

import json
import os
import socket
import sys
import urllib.request

url, redis_port = sys.argv[1:]
question = {"prompt": "Revenue by region?", "conversation": "prepared", "user": {"externalId": "demo-dana"}}
request = urllib.request.Request(
    f"{url}/v1/prompts?wait=30",
    json.dumps(question).encode(),
    {"Authorization": f"Bearer {os.environ['RELAY_KEY']}", "Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=40) as answer:
    prompt = json.load(answer)
assert prompt["phase"] == "answered", prompt["phase"]
with socket.create_connection(("127.0.0.1", int(redis_port)), 5) as redis:
    for number in range(20):
        redis.sendall(f"XADD {{relay}}:intake * data {{{number}\r\n".encode())
        assert redis.recv(64).startswith(b"$")
print(prompt["promptId"])
