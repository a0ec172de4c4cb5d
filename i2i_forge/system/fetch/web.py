"""How the web is asked: redirects lead only where a download may come from, and a server cannot hold us for ever."""

from __future__ import annotations

import http.client
import io
import socket
import time
import urllib.error
import urllib.request
from ipaddress import ip_address
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

HOSTS = frozenset({"efrosgans.eecs.berkeley.edu"})  # of public data sets, that are asked by http
SLOWEST, PATIENCE = 1000, 60.0  # bytes a second, over so many seconds of waiting


def ask(request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    """Open an http or https address that the user or a table named.

    Redirects are followed to https on other machines than this one, to http on HOSTS, and to the same server.

    Raises:
        urllib.error.HTTPError: the server refuses, or leads elsewhere.
        OSError, http.client.HTTPException, ValueError: there is no connection, or it is slower than SLOWEST.
    """
    opener = urllib.request.build_opener(_Web, _Redirects(request.full_url))
    return cast("http.client.HTTPResponse", opener.open(request, timeout=timeout))


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, first: str) -> None:
        self.first = first

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not is_followed(newurl, self.first):
            cause = f"{msg}, but no download leads to {newurl}"
            raise urllib.error.HTTPError(req.full_url, code, cause, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def is_followed(url: str, first: str) -> bool:
    """Whether a redirect to `url` is followed, when `first` is what was asked for."""
    to, home = urlsplit(url), urlsplit(first)
    if to.netloc == home.netloc:
        return to.scheme in (home.scheme, "https")
    if to.scheme == "http":
        return to.hostname in HOSTS
    return to.scheme == "https" and not _is_near(to.hostname or "")


def _is_near(host: str) -> bool:
    """Whether a name or number is that of this machine, or of one in its own network."""
    host = unquote(host).encode("idna").decode()  # as it is read when it is connected to
    try:
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)  # it knows all ways to write a number
    except OSError:
        return host.rstrip(".").rpartition(".")[2] == "localhost"
    return not all(ip_address(address[0]).is_global for *_, address in found)


class _Paced(io.RawIOBase):
    """What a connection gives. Raises TimeoutError when that is too little for the time that was waited for it."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.raw, self.waited, self.got = raw, 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        began = time.monotonic()
        count: int | None = self.raw.readinto(buffer)
        self.waited, self.got = self.waited + time.monotonic() - began, self.got + (count or 0)
        if count and self.waited > PATIENCE:
            if self.got < SLOWEST * self.waited:
                raise TimeoutError(f"less than {SLOWEST:,} bytes a second came in {self.waited:.0f} seconds")
            self.waited, self.got = 0.0, 0
        return count

    def close(self) -> None:
        self.raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Paced(self.fp.detach()))


class _Web(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_paced(http.client.HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_paced(http.client.HTTPSConnection), req)


def _paced(connection: type[http.client.HTTPConnection]) -> type[http.client.HTTPConnection]:
    return type(connection.__name__, (connection,), {"response_class": _Answer})
