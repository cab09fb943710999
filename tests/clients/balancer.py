"""What stands in front of replicas: hands each new connection to the next one that is ready, as /readyz says."""

import asyncio
import threading

LOOK = 0.1


class Balancer:
    """Runs in a thread of its own. `known` are the ports of replicas, `ready` those that get connections."""

    def __init__(self, port):
        self.port, self.known, self.ready = port, set(), []
        # Answers of 5xx that passed.
        self.failures = []
        threading.Thread(target=asyncio.run, args=[self.serve()], daemon=True).start()

    async def serve(self):
        await asyncio.start_server(self.connected, "127.0.0.1", self.port)
        while True:
            known = sorted(self.known)
            answers = await asyncio.gather(*map(is_ready, known))
            # Whoever was in turn stays in turn.
            ready = {port for port, answer in zip(known, answers) if answer}
            self.ready = [port for port in self.ready if port in ready] + sorted(ready - {*self.ready})
            await asyncio.sleep(LOOK)

    async def connected(self, reader, writer):
        for _ in range(len(self.ready)):
            self.ready = self.ready[1:] + self.ready[:1]
            try:
                answers, requests = await asyncio.open_connection("127.0.0.1", self.ready[-1])
            except OSError:
                continue
            await asyncio.gather(self.pass_on(reader, requests), self.pass_on(answers, writer, self.look))
            return
        writer.close()

    async def pass_on(self, reader, writer, look=lambda _: None):
        try:
            while chunk := await reader.read(65536):
                look(chunk)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def look(self, chunk):
        # An answer's head begins a chunk: whoever asks waits for one answer before the next request.
        if chunk.startswith(b"HTTP/1.1 5"):
            self.failures.append(chunk)


async def is_ready(port):
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        said = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        return said.startswith(b"HTTP/1.1 200")
    except (OSError, asyncio.TimeoutError):
        return False
