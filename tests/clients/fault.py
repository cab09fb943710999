"""Stands between a relay and its Omni: while the file FLAG exists, every request for a result is answered 503.

    fault.py 127.0.0.1:9002 http://127.0.0.1:9001 FLAG
"""

import http.client
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

listen, upstream, flag = sys.argv[1:]
upstream = urlsplit(upstream)
host, port = listen.rsplit(":", 1)
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}


class Passes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.split("?")[0].endswith("/result") and os.path.exists(flag):
            return self.send(503, [("Content-Type", "application/json")], b'{"detail": "the service is overloaded"}')
        omni = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        omni.request(self.command, self.path, body, headers)
        answer = omni.getresponse()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP | {"content-length"}]
        self.send(answer.status, kept, answer.read())
        omni.close()

    def send(self, status, headers, body):
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


Server((host, int(port)), Passes).serve_forever()
