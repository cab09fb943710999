"""Asks the relay one question over HTTP and prints the type of the entry that ends it.

    ask.py http://127.0.0.1:8080 thread-1 "How did sales develop?"       the caller's key in OMNI_RELAY_KEY
"""

import json
import os
import sys
import urllib.error
import urllib.request


def main():
    relay, conversation, prompt = sys.argv[1:]
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OMNI_RELAY_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    body = json.dumps({"prompt": prompt, "conversation": conversation}).encode()
    request = urllib.request.Request(f"{relay}/v1/prompts?wait=60", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=90) as response:
            answered = json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"the relay answered {error.code}: {error.read().decode(errors='replace')}")
    entry = answered.get("entry")
    if entry is None:
        sys.exit(f"prompt {answered['promptId']} is {answered['phase']} after a minute")
    print(entry["type"], answered["promptId"])


if __name__ == "__main__":
    main()
