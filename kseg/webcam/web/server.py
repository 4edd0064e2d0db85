"""A server for one site and for this machine alone: loopback, known files, the headers that the page wants."""

from __future__ import annotations

import errno
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kseg.errors import SettingsError
from kseg.export.page.hosting import HEADERS, TYPES

LOOPBACK = "127.0.0.1"


class SiteServer(ThreadingHTTPServer):
    """Serves the files that a folder holds now, and nothing else.

    Only requests whose Host header names this machine are answered, so that a foreign page cannot reach the server
    by a name that it points to 127.0.0.1 (DNS rebinding).

    Args:
        folder: the site.
        port: 0 takes a free one.

    Raises:
        SettingsError: the port is in use, or not allowed.

    Example:
        ```python
        with SiteServer("site") as server:
            print(server.url)
            server.serve_forever()
        ```
    """

    daemon_threads = True
    # Off, where Windows would otherwise let two servers share a port.
    allow_reuse_address = hasattr(errno, "EADDRINUSE") and not hasattr(errno, "WSAEADDRINUSE")

    def __init__(self, folder: str | Path, port: int = 0) -> None:
        root = Path(folder).resolve()
        self.files = {
            f"/{path.relative_to(root).as_posix()}": path for path in root.rglob("*") if path.is_file()
        }
        if "/index.html" not in self.files:
            raise SettingsError(
                f"{folder}: no site to serve; kseg export --format web --out {folder} makes one"
            )
        self.files["/"] = self.files["/index.html"]
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = "it is in use" if getattr(error, "errno", None) == errno.EADDRINUSE else str(error)
            raise SettingsError(
                f"--port {port}: {reason}; choose another, or leave it out for a free one"
            ) from error
        number = self.server_address[1]
        self.hosts = {f"{name}:{number}" for name in (LOOPBACK, "localhost")}
        self.url = f"http://{LOOPBACK}:{number}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away in the middle of an answer is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: SiteServer
    server_version, sys_version = "kseg", ""
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that an idle connection is kept

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return
        path = self.server.files.get(unquote(urlsplit(self.path).path))
        if path is None or not path.is_file():
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        content = path.read_bytes()
        self.send_response(HTTPStatus.OK)
        self._send_headers(TYPES.get(path.suffix, "application/octet-stream"), len(content))
        if body:
            self.wfile.write(content)

    def _refuse(self, status: HTTPStatus) -> None:
        content = f"{status.phrase}\n".encode()
        self.send_response(status)
        self._send_headers(TYPES[".txt"], len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_headers(self, kind: str, length: int) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-cache")
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent: requests are no news."""
