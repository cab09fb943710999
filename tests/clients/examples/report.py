"""A worker: pushes questions onto the intake stream, waits for their answers in a consumer group, and prints a report.

    report.py redis://127.0.0.1:6379 relay
"""

import json
import sys
import uuid

import redis

QUESTIONS = {  # on whose behalf: what they want to know
    "emea-anna": ["Revenue by region?", "And in March?"],
    "apac-kenji": ["Revenue by region?", "And in March?"],
}

url, namespace = sys.argv[1:]
client = redis.Redis.from_url(url, protocol=2, decode_responses=True, socket_timeout=10)
answers, group = f"{{{namespace}}}:answers", f"report-{uuid.uuid4().hex}"
client.xgroup_create(answers, group, id="$", mkstream=True)  # before asking: nothing is missed

wanted = {}
for user, questions in QUESTIONS.items():
    thread = f"report-{uuid.uuid4().hex}"  # its questions are asked one after the other
    for question in questions:
        key = uuid.uuid4().hex  # pushed twice, it is asked once
        prompt = {"prompt": question, "conversation": thread, "user": {"externalId": user}, "idempotencyKey": key}
        client.xadd(f"{{{namespace}}}:intake", {"data": json.dumps(prompt | {"metadata": {"key": key}})})
        wanted[key] = f"## {user}: {question}"

report = {}
while len(report) < len(wanted):
    for _, entries in client.xreadgroup(group, "me", {answers: ">"}, count=10, block=5000) or []:
        for position, entry in entries:
            data = json.loads(entry["data"])
            if (key := data["metadata"].get("key")) in wanted and entry["type"] != "omni.delayed":  # which is no end
                report[key] = data.get("message") or data.get("error") or entry["type"]
            client.xack(answers, group, position)
client.xgroup_destroy(answers, group)
for key, title in wanted.items():
    print(f"{title}\n\n{report[key]}\n")
