"""A chat endpoint that does nothing but wait: one reply to everything, a fixed time after a request has come whole.

    python tests/benchmarks/delay_server.py PORT_FILE DELAY_S TEXT

It reads no JSON and keeps nothing, so that it takes as little as possible of the machine that it shares with what is
measured. It ends when its standard input does.
"""

import asyncio
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from chat_server import reply

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self, delay_s, content):
        self.delay_s, self.come, self.size = delay_s, bytearray(), None
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
        self.answer += content

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.come += data
        if self.size is None and (end := self.come.find(b"\r\n\r\n")) >= 0:
            self.size = end + 4 + int(_LENGTH.search(self.come, 0, end).group(1))
        if self.size is not None and len(self.come) >= self.size:
            del self.come[: self.size]
            self.size = None
            asyncio.get_running_loop().call_later(self.delay_s, self.transport.write, self.answer)


async def main(port_file, delay_s, text):
    loop, content = asyncio.get_running_loop(), reply(text).content
    server = await loop.create_server(lambda: Connection(delay_s, content), "127.0.0.1", 0, backlog=512)
    Path(port_file).write_text(str(server.sockets[0].getsockname()[1]))
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
