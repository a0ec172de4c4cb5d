"""A server of one file on this machine, which can serve it badly."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Server(http.server.ThreadingHTTPServer):
    """Serves `body` under every path.

    Attributes:
        status: what it answers, if not 200.
        break_after: bytes after which it closes the connection.
        asked: the path and the range of each request.
        url: of a folder.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body, self.status = body, 200
        self.break_after: int | None = None
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/dir"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        served = self.server
        asked = self.headers.get("Range")
        served.asked.append((self.path, asked))
        if served.status != 200:
            self.send_error(served.status)
            return
        found = re.fullmatch(r"bytes=(\d+)-", asked or "")
        start = int(found[1]) if found else 0
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(served.body) - 1}/{len(served.body)}")
        self.send_header("Content-Length", str(len(served.body) - start))
        self.end_headers()
        self.wfile.write(served.body[start : served.break_after])


@contextmanager
def serving(body: bytes) -> Iterator[Server]:
    """A server that runs meanwhile."""
    with Server(body) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
