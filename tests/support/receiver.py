"""A webhook's receiver on loopback, and everything that can be wrong with one.

It checks signatures by itself, from docs/alerts.md alone. In a process of its own it can be killed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.support.running import free_port, wait_until

__all__ = [
    "Got",
    "Receiver",
    "ReceiverProcess",
    "alerted",
    "configure",
    "silent_socket",
    "write_env",
]

ROOT = Path(__file__).resolve().parents[2]


class Key(str):
    """A key that a failing test does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Say what it is."""
        return "<Key>"


class Got(NamedTuple):
    """One POST that arrived: when (monotonic s), its path, headers and body."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    def signed(self, key: str) -> bool:
        """Say whether the body is what the holder of the key sent, and fresh."""
        stamp = self.headers["X-Bridge-Timestamp"]
        text = stamp.encode() + b"." + self.body
        wanted = "v1=" + hmac.digest(key.encode(), text, hashlib.sha256).hex()
        fresh = abs(time.time() - int(stamp)) < 300
        return fresh and hmac.compare_digest(wanted, self.headers["X-Bridge-Signature"])


class Receiver:
    """Takes POSTs. `answer` says what to reply; None takes it with 200."""

    def __init__(self, port: int | None = None) -> None:
        self.got: list[Got] = []
        self.answer: Callable[[Got], tuple[int, dict[str, str]]] = lambda _got: (200, {})
        self.pause_s = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                one = Got(time.monotonic(), self.path, dict(self.headers), body)
                time.sleep(outer.pause_s)
                outer.got.append(one)
                status, headers = outer.answer(one)
                self.send_response(status)
                for name, value in {"Content-Length": "2", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok")

            def do_GET(self) -> None:
                outer.got.append(Got(time.monotonic(), "GET " + self.path, {}, b""))
                self.send_error(405)

            def log_message(self, *_: object) -> None:
                return

        self.port = port if port is not None else free_port()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def codes(self) -> list[str]:
        """Return the code of every JSON alert, as they came."""
        return [one.json["code"] for one in list(self.got)]

    def wait_for(self, code: str, seconds: float = 8.0) -> Got:
        """Return the first alert of a code."""
        wait_until(lambda: code in self.codes(), seconds)
        return next(one for one in list(self.got) if one.json["code"] == code)


@contextmanager
def silent_socket() -> Iterator[int]:
    """Listen, take connections and never say a word; yields the port."""
    with socket.socket() as server:
        port = free_port()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen(64)
        yield port


@contextmanager
def alerted(*configs: Path) -> Iterator[Receiver]:
    """Yield a receiver that these configurations name."""
    with Receiver() as receiver:
        for config in configs:
            configure(config, receiver.port)
        yield receiver


class ReceiverProcess:
    """A receiver that appends each alert's code to a file, and can be killed."""

    _CODE = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[2], "a") as file:
            file.write(json.loads(body)["code"] + "\\n")
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        return
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

    def __init__(self, port: int, file: Path) -> None:
        self._port, self._file = port, file
        self._process = subprocess.Popen([sys.executable, "-c", self._CODE, str(port), str(file)])

    def __enter__(self) -> Self:
        wait_until(self._listens, 15.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self._port)) == 0

    def codes(self) -> list[str]:
        """Return what has arrived."""
        return self._file.read_text().split() if self._file.exists() else []


def write_env(folder: Path, port: int, path: str = "/alerts", **more: str) -> str:
    """Write alerts.env for a receiver on loopback; return the key in it."""
    key = Key(secrets.token_hex(32))
    lines = {"ALERT_URL": f"http://127.0.0.1:{port}{path}", "ALERT_KEY": key, **more}
    file = folder / "alerts.env"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items() if value))
    file.chmod(0o600)
    return key


def configure(config: Path, port: int, *lines: str) -> str:
    """Point a server.toml or connector.toml at a receiver on loopback; return the key."""
    table = "\n".join(("[alerts]", *(lines or ('format = "json"',))))
    config.write_text(f"{config.read_text('utf-8')}\n{table}\n", "utf-8")
    return write_env(config.parent, port)
