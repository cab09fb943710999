"""Talks to examples/chat_backend.py as a browser would, and prints the types and answers.

    drive_backend.py http://127.0.0.1:9000
"""

import json
import sys
import urllib.error
import urllib.request


def chat(user, thread, text):
    body = json.dumps({"thread": thread, "text": text}).encode()
    headers = {"Content-Type": "application/json", "X-User": user}
    with urllib.request.urlopen(urllib.request.Request(f"{sys.argv[1]}/chat", body, headers), timeout=60) as lines:
        return [json.loads(line) for line in lines]


for user in "emea-anna", "apac-kenji":
    for question in "Revenue by region?", "And in March?":
        seen = chat(user, f"backend-{user}", question)
        types = [entry["type"] for entry in seen]
        assert types == ["omni.prompt.accepted", "omni.job.submitted", "omni.answer"], types
        print(f"## {user}: {question}\n\n{seen[-1]['message']}\n")
try:
    chat("apac-kenji", "backend-emea-anna", "What did Anna ask?")
except urllib.error.HTTPError as error:
    assert error.code == 409 and json.load(error)["code"] == "conversation_user_mismatch"
else:
    sys.exit("a thread answered two users")
