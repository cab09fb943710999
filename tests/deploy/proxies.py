"""Goes through a reverse proxy to a relay, as Omni, a caller and a stranger would.

    proxies.py away PROXY CERTIFICATE RELAY       while no relay is behind it
    proxies.py through PROXY CERTIFICATE RELAY    while one is; PROXY and RELAY are ports of 127.0.0.1

The relay has everything on one listener, /metrics and /console too: it is the proxy that shuts out.
"""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import socket
import ssl
import sys
import threading
import time

HOST = "relay.example.com"
SECRET = b"secret-between-relay-and-simulator"
KEY = {"Authorization": f"Bearer {os.environ['RELAY_KEY']}", "Content-Type": "application/json"}
STRANGER = "127.0.0.2"
BODIES = {
    "spaces and line ends": b' {\r\n\t"event" :  "hello"\r\n,"a":1.0e+2}  \n\n',
    "escapes": rb'{"event":"caf\u00e9 \ud83d\ude00","slash":"\/"}' + "é😀\u2028".encode(),
    "every byte": bytes(range(256)) * 3,
    "a mebibyte": b'{"event":"' + b"x" * (1024 * 1024 - 12) + b'"}',
    "nothing": b"",
}
SHUT = ["/", "/metrics", "/console", "/console/", "/drain", "/livez", "/readyz", "/docs", "/openapi.json", "/webhooks/omni/",
        "/webhooks/other", "/mcp/", "/v1", "//metrics", "/%6detrics", "/v1/../metrics", "/v1/..%2fmetrics", "/v1/%2e%2e/console",
        "/webhooks/omni/../../metrics", "/v1/;/../../metrics"]  # fmt: skip


class Proxy(http.client.HTTPSConnection):
    """A connection to the proxy under its name, from an address that may be a stranger's."""

    def __init__(self, port, certificate, source="127.0.0.1"):
        super().__init__(HOST, context=ssl.create_default_context(cafile=certificate), timeout=60)
        self.peer, self.source = ("127.0.0.1", port), (source, 0)

    def connect(self):
        plain = socket.create_connection(self.peer, self.timeout, self.source)
        self.sock = self._context.wrap_socket(plain, server_hostname=HOST)


def ask(connection, method, path, body=None, headers=None, chunked=False):
    connection.request(method, path, body, headers or {}, encode_chunked=chunked)
    answer = connection.getresponse()
    return answer.status, answer.read()


def webhook(connection, body, chunked=False):
    now = str(int(time.time()))
    digest = hmac.new(SECRET, now.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"X-Omni-Signature-Timestamp": now, "X-Omni-Signature": f"sha256={digest}", "Content-Type": "application/json"}
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
        pieces = (body[at : at + 1000] for at in range(0, len(body), 1000))
        return ask(connection, "POST", "/webhooks/omni", pieces, headers, chunked=True)[0]
    return ask(connection, "POST", "/webhooks/omni", body, headers)[0]


def away(proxy):
    began = time.monotonic()
    status = webhook(proxy(STRANGER), BODIES["escapes"])
    took = time.monotonic() - began
    assert status in (502, 503), f"without a relay a webhook is answered {status}"
    assert took < 5, f"without a relay a webhook is answered after {took:.1f} s"


def headers(proxy, port):
    """What a relay hears of who is there, whatever a client says of itself."""
    heard = []

    class Relay(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(self.headers)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response_only(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", port), Relay) as relay:
        relay.timeout = 10
        threading.Thread(target=relay.handle_request).start()
        forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
        status, _ = ask(proxy(STRANGER), "POST", "/webhooks/omni", b"{}", forged)
    assert status == 200, f"what listens for the relay is not reached: {status}"
    said = [heard[0][name] for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Host")]
    assert said == [STRANGER, "https", HOST], f"the relay hears {said}"


def webhooks(proxy):
    for what, body in BODIES.items():
        for chunked in False, True:
            status = webhook(proxy(STRANGER), body, chunked)
            assert status == 200, f"a webhook of {what}, chunked: {chunked}, is answered {status}"
    connection = proxy(STRANGER)
    status, _ = ask(connection, "POST", "/webhooks/omni", b"{}", {"X-Omni-Signature": "sha256=00"})
    assert status == 401, f"a forged webhook is answered {status}"


def shut(proxy, relay):
    for path in "/metrics", "/console", "/livez":
        assert ask(relay(), "GET", path)[0] < 400, f"the relay itself refuses {path}, so nothing is shown"
    for path in SHUT:
        for method in "GET", "POST":
            status, body = ask(proxy(), method, path, headers=KEY)
            # The proxy's own page, and not the relay's problem.
            assert status in (400, 403, 404) and b'"code"' not in body, f"{method} {path} is answered {status}: {body[:80]}"
    for path in "/v1/prompts", "/mcp":
        status, body = ask(proxy(STRANGER), "POST", path, b"{}", KEY)
        assert status in (403, 404) and b'"code"' not in body, f"a stranger's POST {path} is answered {status}: {body[:80]}"


def events(proxy, relay, conversation):
    """The first event is there while the prompt still runs, and the stream ends by itself."""
    question = json.dumps({"prompt": "Revenue by month?", "conversation": conversation}).encode()
    status, body = ask(proxy(), "POST", "/v1/prompts", question, KEY)
    assert status == 202, f"a prompt is answered {status}: {body[:200]}"
    prompt = json.loads(body)["promptId"]
    connection = proxy()
    connection.request("GET", f"/v1/conversations/{conversation.replace(':', '%3A')}/events?until={prompt}", headers=KEY)
    stream = connection.getresponse()
    assert stream.status == 200, f"the events are answered {stream.status}: {stream.read()[:200]}"
    seen = [line for line in iter(stream.readline, b"\n")]
    phase = json.loads(ask(relay(), "GET", f"/v1/prompts/{prompt}", headers=KEY)[1])["phase"]
    assert b"event: omni.prompt.accepted\n" in seen, f"the first event is {seen}"
    assert phase in ("queued", "sending", "submitted"), f"the first event came when the prompt was {phase}"
    assert b"event: omni.answer\n" in stream.readlines(), "the stream ended without an answer"


def large(proxy):
    """As large as the relay takes it: files, and the rest filled up."""
    files = [{"data": base64.b64encode(bytes(2_899_800)).decode(), "mimeType": "image/png"}] * 4
    prompt = json.dumps({"prompt": "What stands out?", "attachments": files}).encode()
    filled = prompt + b" " * (15 * 1024 * 1024 - 1024 - len(prompt))
    status, body = ask(proxy(), "POST", "/v1/prompts", filled, KEY)
    assert status == 202, f"a prompt of 15 MiB is answered {status}: {body[:200]}"


def main():
    what, port, certificate, relay_port = sys.argv[1:]

    def proxy(source="127.0.0.1"):
        return Proxy(int(port), certificate, source)

    def relay():
        return http.client.HTTPConnection("127.0.0.1", int(relay_port), timeout=60)

    if what == "away":
        away(proxy)
        return headers(proxy, int(relay_port))
    webhooks(proxy)
    shut(proxy, relay)
    events(proxy, relay, f"through:{port}")
    large(proxy)


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(str(error))
