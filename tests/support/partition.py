"""A network that can be cut without anybody noticing: a relay of bytes that stops and goes on.

What is under way is held, and arrives late when the cut is mended, as it does behind a router.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Final, Self

from tests.support.running import free_port

__all__ = ["Partition"]

_CHUNK: Final = 65_536


class Partition:
    """Relays `port` and `port + 1` to those of a server."""

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self._open = threading.Event()
        self._open.set()
        self._closing = threading.Event()
        self._ends: list[socket.socket] = []
        self._doors = [socket.create_server(("127.0.0.1", self.port + n)) for n in (0, 1)]
        for n, door in enumerate(self._doors):
            door.settimeout(0.05)
            self._start(self._accept, door, to + n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._open.set()
        for sock in (*self._doors, *self._ends):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def hold(self) -> None:
        """Let nothing pass; no end is told."""
        self._open.clear()

    def release(self) -> None:
        """Let everything pass, what was held first."""
        self._open.set()

    def _start(self, run: object, *args: object) -> None:
        threading.Thread(target=run, args=args, daemon=True).start()  # type: ignore[arg-type]

    def _accept(self, door: socket.socket, to: int) -> None:
        while not self._closing.is_set():
            try:
                client, _ = door.accept()
                client.settimeout(None)
                server = socket.create_connection(("127.0.0.1", to))
            except OSError:  # nobody for a moment, or nobody behind
                continue
            self._ends += [client, server]
            self._start(self._relay, client, server)
            self._start(self._relay, server, client)

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                self._open.wait()
                sink.sendall(chunk)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
