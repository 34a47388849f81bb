"""Real CURVE sockets on loopback for tests: a server's, a friend's and a stranger's keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import zmq

from bridge_core.host.sockets import (
    ClientSocketSpec,
    Context,
    CurveKeys,
    ServerSocketSpec,
    Socket,
    client_socket,
    new_curve_keys,
    server_socket,
)
from bridge_core.protocol.limits import SERVER_FRAME_BYTES_MAX

__all__ = [
    "FRIEND", "LOOPBACK", "SERVER", "STRANGER", "Keeper", "address_of", "bound", "dialled",
    "kept_context", "send_soon",
]  # fmt: skip

SERVER: Final = new_curve_keys()
FRIEND: Final = new_curve_keys()
STRANGER: Final = new_curve_keys()
LOOPBACK: Final = "tcp://127.0.0.1:*"


class Keeper(zmq.Context[zmq.Socket[bytes]]):
    """Keeps its sockets until the end of the test, whatever the test forgets."""

    kept: tuple[Socket, ...] = ()

    def socket(self, *args: Any, **kwargs: Any) -> Socket:
        made = super().socket(*args, **kwargs)
        self.kept = (*self.kept, made)
        return made


@contextmanager
def kept_context() -> Iterator[Context]:
    """Yield a context; all its sockets are closed afterwards."""
    context = Keeper()
    yield context
    for socket in context.kept:
        socket.close(0)
    context.term()


def address_of(socket: Socket) -> str:
    """Return where a socket was bound."""
    value = socket.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(value, bytes)
    return value.decode().rstrip("\0")


def bound(context: Context, kind: int = zmq.ROUTER, domain: str = "req") -> tuple[Socket, str]:
    """Return a bound socket of the server's and its address."""
    spec = ServerSocketSpec(domain=domain, keys=SERVER, max_frame_bytes=SERVER_FRAME_BYTES_MAX)
    socket = server_socket(context, kind, spec)
    socket.bind(LOOPBACK)
    return socket, address_of(socket)


@contextmanager
def dialled(address: str, keys: CurveKeys, kind: int = zmq.DEALER) -> Iterator[Socket]:
    """Connect to the server from a context of one's own."""
    own: Context = zmq.Context()
    spec = ClientSocketSpec(keys=keys, server_public=SERVER.public, max_frame_bytes=1024)
    with client_socket(own, kind, spec) as socket:
        socket.connect(address)
        yield socket
    own.term()


def send_soon(socket: Socket, frames: list[bytes], wait_s: float = 2.0) -> bool:
    """Send as soon as there is a connection; False if there is none in time."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        try:
            socket.send_multipart(frames)
        except zmq.Again:
            time.sleep(0.01)
        else:
            return True
    return False
