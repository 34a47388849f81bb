"""The pipe between the fake package and a fake terminal: whole messages over a local socket.

The client's waits are C calls through `ctypes.PyDLL`, which keeps the GIL: as in the real package,
every Python thread of the process stands still until the terminal answers. Only where terminal and
client live in one process does it wait without the GIL; with it neither would ever go on.

A terminal that is `near` is called by clients of its own process in their own thread, with the same
messages and no socket: hundreds of schedules are played so.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

__all__ = [
    "NEAR", "Answer", "Ask", "Near", "Pipe", "peer_pid", "pipe_name", "read_frame", "write_frame",
]  # fmt: skip

_HEAD: Final = struct.Struct("<I")


@cache
def _libc() -> ctypes.PyDLL:
    return ctypes.PyDLL(None, use_errno=True)


class Ask(msgspec.Struct, array_like=True):
    """A call on its way to the terminal."""

    name: str
    args: dict[str, Any]
    pid: int


class Answer(msgspec.Struct, array_like=True):
    """What comes back: a value, or an error code of the terminal.

    As on the real pipe it carries the name of the call and no number: the answer to an earlier
    call of the same name is taken for this one's.

    `word` tells the client which failure of the pipe it has met: "unsent" (the write fails, and
    every later one), "unread" (the read fails, the handle is kept, so every later write fails),
    "gone" (there is no handle).
    """

    name: str
    value: Any = None
    code: int = 1
    text: str = ""
    word: str = ""


def pipe_name(path: str, of: str = "MT5.Terminal") -> str:
    """Return the abstract socket of the terminal at a path, a name that no file holds."""
    known = str(Path(path).resolve()).lower()
    return f"\0{of}.{hashlib.sha256(known.encode()).hexdigest()}"


def peer_pid(sock: socket.socket) -> int:
    """Return the process at the other end."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", raw)[0]
    return pid


def write_frame(sock: socket.socket, body: bytes) -> None:
    """Send one message whole.

    Raises:
        OSError: the other end is gone.
    """
    sock.sendall(_HEAD.pack(len(body)) + body)


def read_frame(sock: socket.socket) -> bytes | None:
    """Wait for one message without the GIL; None: the other end is gone."""
    head = _read_politely(sock, _HEAD.size)
    return None if head is None else _read_politely(sock, _HEAD.unpack(head)[0])


def _read_politely(sock: socket.socket, size: int) -> bytes | None:
    got = bytearray()
    while len(got) < size:
        try:
            more = sock.recv(size - len(got))
        except OSError:
            return None
        if not more:
            return None
        got += more
    return bytes(got)


def _read_with_the_gil(fd: int, size: int) -> bytes | None:
    buffer = ctypes.create_string_buffer(size)
    got = 0
    while got < size:
        into = ctypes.byref(buffer, got)
        more = _libc().recv(fd, into, ctypes.c_size_t(size - got), 0)
        if more < 0 and ctypes.get_errno() == errno.EINTR:
            continue
        if more <= 0:
            return None
        got += more
    return buffer.raw


class Near(Protocol):
    """The terminal's end where no socket lies between."""

    def take(self, body: bytes) -> list[bytes] | None:
        """Return the answers to a message; None: the connection has ended."""

    def close(self) -> None:
        """Take note that the client has hung up."""


NEAR: Final[dict[str, Callable[[], Near]]] = {}
"""The terminals that are near, by the names of their pipes."""


class Pipe:
    """The client's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.polite = peer_pid(sock) == os.getpid()

    @classmethod
    def open(cls, name: str) -> Pipe | None:
        """Return the pipe of that name, or None if nobody listens there."""
        near = NEAR.get(name)
        if near is not None:
            return _NearPipe(near())
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(name)
        except OSError:
            sock.close()
            return None
        return cls(sock)

    def send(self, ask: Ask) -> bool:
        """Write a call; False: the other end is gone."""
        try:
            write_frame(self._sock, msgspec.msgpack.encode(ask))
        except OSError:
            return False
        return True

    def receive(self) -> Answer | None:
        """Wait for an answer, for as long as it takes; None: the other end is gone."""
        body: bytes | None
        if self.polite:
            body = read_frame(self._sock)
        else:
            head = _read_with_the_gil(self._sock.fileno(), _HEAD.size)
            size = 0 if head is None else _HEAD.unpack(head)[0]
            body = _read_with_the_gil(self._sock.fileno(), size) if size else None
        return None if body is None else msgspec.msgpack.decode(body, type=Answer)

    def sleep(self, seconds: float) -> None:
        """Wait as the package waits: with the GIL, unless the terminal needs it."""
        if self.polite:
            time.sleep(seconds)
        else:
            sleep_with_the_gil(seconds)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def __del__(self) -> None:
        # The package lets go of its handle without a word, too.
        self._sock.close()


class _NearPipe(Pipe):
    """The client's end of a terminal that is near."""

    def __init__(self, terminal: Near) -> None:
        self._terminal = terminal
        self._answers: deque[bytes] | None = deque()
        self.polite = True

    def send(self, ask: Ask) -> bool:
        if self._answers is None:
            return False
        told = self._terminal.take(msgspec.msgpack.encode(ask))
        if told is None:
            self._answers = None
        else:
            self._answers.extend(told)
        return True

    def receive(self) -> Answer | None:
        if self._answers is None:
            return None
        return msgspec.msgpack.decode(self._answers.popleft(), type=Answer)

    def close(self) -> None:
        self._terminal.close()

    def __del__(self) -> None:
        self._terminal.close()


def sleep_with_the_gil(seconds: float) -> None:
    """Sleep in C without letting any other thread of this process run."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        _libc().usleep(ctypes.c_uint(min(int(left * 1_000_000) + 1, 500_000)))
