"""The wire without the connector: raw frames to a server, and the raw ZeroMQ floor.

Part of the transport door, for the demo and the benchmarks. `RawPeer` signs and verifies nothing;
`floor_round_trips` says what ZeroMQ alone costs on this machine in this minute: REQ/REP over
loopback TCP with nothing of ours in between, the other end in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple, Self

import zmq

from bridge_client.transport import Dial
from bridge_core.host.endpoints import endpoint
from bridge_core.host.sockets import (
    Context,
    client_socket,
)
from bridge_core.protocol import limits
from bridge_core.protocol.errors import TransportError
from bridge_core.protocol.signing import Frames

__all__ = ["FloorSizes", "RawPeer", "echo", "floor_round_trips"]

_CONNECT_S: Final = 5.0
_NAP_S: Final = 0.01
_FLOOR_WAIT_MS: Final = 5_000
_WARM_UP: Final = 20


class RawPeer:
    """A DEALER with the keys of `dial` that sends any bytes and returns what comes back."""

    def __init__(self, dial: Dial) -> None:
        """Start to connect; returns at once."""
        self._context: Context = zmq.Context()
        self._sock = client_socket(
            self._context, zmq.DEALER, dial.spec(limits.CLIENT_FRAME_BYTES_MAX)
        )
        self._sock.connect(endpoint(dial.host, dial.port))

    def send(self, token: bytes, body: bytes) -> None:
        """Send one message, waiting for the connection.

        Raises:
            TransportError: there is none within 5 s.
        """
        until = time.monotonic() + _CONNECT_S
        while True:
            try:
                self._sock.send_multipart((b"", limits.FRAME_TAG, token, body), zmq.NOBLOCK)
            except zmq.Again:
                if time.monotonic() >= until:
                    raise TransportError("NO_CONNECTION", "hop=raw-server") from None
                time.sleep(_NAP_S)
            else:
                return

    def receive(self, timeout_s: float) -> Frames | None:
        """Return the next reply's frames as they are, None if none comes in time (s)."""
        if not self._sock.poll(int(timeout_s * 1000)):
            return None
        parts = self._sock.recv_multipart()
        return Frames(parts[-2], parts[-1])

    def close(self) -> None:
        """Close; what was not sent is never sent."""
        self._sock.close(0)
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- the floor -----------------------------------------------------------------------------


class FloorSizes(NamedTuple):
    """Bytes of the frames that go and come: F1 and F2 of a request and of its reply."""

    request: tuple[int, int]
    reply: tuple[int, int]


def floor_round_trips(sizes: FloorSizes, count: int) -> list[float]:
    """Return `count` round trips (ms) of plain REQ/REP with messages of these sizes.

    Raises:
        TransportError: the other end did not start or fell silent.
    """
    words = [sys.executable, "-m", "bridge_client.rawwire", *map(str, sizes.reply)]
    other = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    context: Context = zmq.Context()
    sock = context.socket(zmq.REQ)
    try:
        assert other.stdout is not None
        place = other.stdout.readline().strip()
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RCVTIMEO, _FLOOR_WAIT_MS)
        sock.connect(place.decode("ascii"))
        message = (limits.FRAME_TAG, bytes(sizes.request[0]), bytes(sizes.request[1]))
        taken = []
        for _ in range(count + _WARM_UP):
            begun = time.perf_counter()
            sock.send_multipart(message)
            sock.recv_multipart()
            taken.append((time.perf_counter() - begun) * 1000)
        return taken[_WARM_UP:]
    except zmq.ZMQError as error:
        raise TransportError("FLOOR", f"why={str(error)!r}") from error
    finally:
        sock.close(0)
        context.term()
        other.kill()
        other.communicate()


def echo(token_bytes: int, body_bytes: int) -> None:
    """Bind a REP to loopback, print where, and answer everything with so many bytes, for ever."""
    context: Context = zmq.Context()
    sock = context.socket(zmq.REP)
    sock.bind("tcp://127.0.0.1:*")
    place = sock.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(place, bytes)
    sys.stdout.buffer.write(place.rstrip(b"\0") + b"\n")
    sys.stdout.flush()
    message = (limits.FRAME_TAG, bytes(token_bytes), bytes(body_bytes))
    while True:
        sock.recv_multipart()
        sock.send_multipart(message)


if __name__ == "__main__":
    echo(int(sys.argv[1]), int(sys.argv[2]))
