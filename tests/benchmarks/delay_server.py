"""A chat endpoint that does nothing but wait: one reply to everything, some time after a request has come whole.

    python tests/benchmarks/delay_server.py PORT_FILE MEDIAN_S SPREAD TEXT

The n-th request to arrive waits for the n-th of `delays`. The server parses no JSON and keeps nothing, so that it takes
as little as possible of the machine that it shares with what is measured. It ends when its standard input does.
"""

import asyncio
import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from chat_server import reply

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def delays(median_s, spread):
    """Lognormal seconds without end, always the same; `spread` is the standard deviation of their logarithm."""
    chance = random.Random(0)
    while True:
        yield median_s * chance.lognormvariate(0.0, spread)


class Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self, delays, content):
        self.delays, self.received, self.size = delays, bytearray(), None
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
        self.answer += content

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        if self.size is None and (end := self.received.find(b"\r\n\r\n")) >= 0:
            self.size = end + 4 + int(_LENGTH.search(self.received, 0, end).group(1))
        if self.size is not None and len(self.received) >= self.size:
            del self.received[: self.size]
            self.size = None
            asyncio.get_running_loop().call_later(next(self.delays), self.transport.write, self.answer)


async def main(port_file, median_s, spread, text):
    loop, content, waits = asyncio.get_running_loop(), reply(text).content, delays(median_s, spread)
    server = await loop.create_server(lambda: Connection(waits, content), "127.0.0.1", 0, backlog=512)
    Path(port_file).write_text(str(server.sockets[0].getsockname()[1]))
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
