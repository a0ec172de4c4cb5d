"""A server of files on the loopback address, which can serve them badly."""

import http.server
import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast


class Server(http.server.ThreadingHTTPServer):
    """Serves `body` under every path, or `files`.

    Attributes:
        files: name -> body; what has no name here is missing. None: `body` under every path.
        failing: how many requests are answered with 503 before the first that is served.
        status: what it answers, if not 200.
        statuses: what it answers for some names, if not `status`.
        etag: of the body; "" for none.
        ranges: whether it sends parts.
        if_range: whether it sends all of another version instead of a part.
        length: whether it tells how long its answer is.
        break_after: bytes after which it closes the connection.
        drips_after: bytes, of headers and body together, after which each takes a twentieth of a second.
        reason: what it says with a status that is not 200.
        redirect: where it leads instead.
        asked: the path and the range of each request.
        url: of a folder.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body, self.status, self.etag = body, 200, '"v1"'
        self.ranges = self.if_range = self.length = True
        self.break_after: int | None = None
        self.drips_after: int | None = None
        self.reason: str | None = None
        self.redirect = ""
        self.files: dict[str, bytes] | None = None
        self.failing = 0
        self.statuses: dict[str, int] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/dir"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    body = b""

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        served = self.server
        self.body = served.body
        asked = self.headers.get("Range")
        served.asked.append((self.path, asked))
        if served.failing:
            served.failing -= 1
            self.send_error(503)
            return
        name = self.path.partition("?")[0].rpartition("/")[2]
        if (status := served.statuses.get(name, served.status)) != 200:
            self.send_error(status, served.reason)
            return
        if served.redirect and self.path != served.redirect:
            self.send_response(302)
            self.send_header("Location", served.redirect)
            self.end_headers()
            return
        if served.files is not None:
            if name not in served.files:
                self.send_error(404)
                return
            self.body = served.files[name]
        found = re.fullmatch(r"bytes=(\d+)-", asked or "")
        start = int(found[1]) if found and served.ranges else 0
        if served.if_range and self.headers.get("If-Range", served.etag) != served.etag:
            start = 0
        if start >= len(self.body) > 0 and start:
            self.send_error(416)
            return
        self._send(start)

    def _send(self, start: int) -> None:
        served = self.server
        if served.drips_after is not None:
            self.wfile = cast("io.BufferedIOBase", _Dripping(self.wfile, served.drips_after))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if served.length:
            self.send_header("Content-Length", str(len(self.body) - start))
        if served.etag:
            self.send_header("ETag", served.etag)
        self.end_headers()
        rest = self.body[start:]
        with suppress(ConnectionError):  # whoever asked has had enough
            self.wfile.write(rest if served.break_after is None else rest[: served.break_after])


class _Dripping:
    """A connection that is slow after some bytes."""

    def __init__(self, file: io.BufferedIOBase, after: int) -> None:
        self.file, self.left = file, after

    def write(self, data: bytes) -> None:
        self.file.write(data[: self.left])
        for place in range(self.left, len(data)):
            self.file.write(data[place : place + 1])
            time.sleep(0.05)
        self.left = max(self.left - len(data), 0)

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)


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
