"""Somebody on the wire: a TCP relay that sees ZMTP frames and can delete, slow down or inject.

Inside CURVE it can read nothing; what it can do is what any router between the two can do.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Self

__all__ = ["Middle", "ZmtpFrame", "greeting", "long_header"]

_GREETING_BYTES: Final = 64
_LONG: Final = 0x02
_COMMAND: Final = 0x04
_MESSAGE: Final = b"\x07MESSAGE"


class ZmtpFrame(NamedTuple):
    """One frame as it passes: all its bytes, and whether it carries an encrypted message part."""

    raw: bytes
    encrypted: bool


def greeting(mechanism: bytes = b"CURVE", *, as_server: bool = False) -> bytes:
    """Return a ZMTP 3.1 greeting."""
    return (
        b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + mechanism.ljust(20, b"\0")
        + bytes([as_server]) + bytes(31)
    )  # fmt: skip


def long_header(size: int, *, command: bool = False) -> bytes:
    """Return the header of a frame of `size` bytes, of which nothing need ever follow."""
    return bytes([_LONG | (_COMMAND if command else 0)]) + struct.pack(">Q", size)


def _take(sock: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        chunk = sock.recv(count - len(got))
        if not chunk:
            raise ConnectionError("closed")
        got += chunk
    return got


def _frame(sock: socket.socket) -> ZmtpFrame:
    flags = _take(sock, 1)
    width = 8 if flags[0] & _LONG else 1
    length = _take(sock, width)
    body = _take(sock, int.from_bytes(length, "big"))
    return ZmtpFrame(flags + length + body, body.startswith(_MESSAGE))


class Middle:
    """Relays `port` to `to`; each rule below may be changed while it runs."""

    def __init__(self, to: int, port: int = 0) -> None:
        self._to = to
        self._door = socket.create_server(("127.0.0.1", port))
        self._door.settimeout(0.05)
        self.port: int = self._door.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._lock = threading.Lock()
        # Deletes an encrypted part on its way to the client when it says so.
        self.deletes: Callable[[bytes], bool] = lambda _raw: False
        self.deleted = 0
        self.seen: deque[int] = deque(maxlen=1_000)
        # Bytes a second that the client is ready to take; 0 means any.
        self.slow = 0
        # Connections that the server ended.
        self.ended = 0
        self._acceptor = threading.Thread(target=self._accept, name="middle", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut everything."""
        self._closing.set()
        self._acceptor.join(5)
        self._door.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def cut(self) -> None:
        """Cut every connection; new ones are taken."""
        with self._lock:
            for sock in self._ends:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            self._ends.clear()

    def inject(self, raw: bytes) -> None:
        """Put bytes into the newest connection on its way to the server."""
        with self._lock:
            self._ends[-1].sendall(raw)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._door.accept()
            except OSError:  # nobody for a moment, or closed
                continue
            client.settimeout(None)
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._ends += [client, server]
            self._start(self._up, client, server)
            self._start(self._down, server, client)

    def _start(self, run: Callable[..., None], *ends: socket.socket) -> None:
        thread = threading.Thread(target=run, args=ends, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := client.recv(65_536):
                server.sendall(chunk)
        self._end(client, server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            left = _GREETING_BYTES  # it comes in parts, each waiting for the peer's
            while left:
                chunk = server.recv(left)
                if not chunk:
                    raise ConnectionError("closed")
                client.sendall(chunk)
                left -= len(chunk)
            while True:
                frame = _frame(server)
                if frame.encrypted and self.deletes(frame.raw):
                    self.deleted += 1
                    continue
                if frame.encrypted:
                    self.seen.append(len(frame.raw))
                self._pass(client, frame.raw)
        self.ended += 1
        self._end(client, server)

    def _pass(self, client: socket.socket, raw: bytes) -> None:
        if not self.slow:
            client.sendall(raw)
            return
        for at in range(len(raw)):
            if self._closing.is_set():
                return
            client.sendall(raw[at : at + 1])
            time.sleep(1 / self.slow)

    @staticmethod
    def _end(*ends: socket.socket) -> None:
        for sock in ends:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
