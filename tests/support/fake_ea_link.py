"""The fake EA's side of the link: one DEALER with CURVE, hop frames, and faults on what it sends.

    message = [empty] ["ZTH5"] [hop head] [hop body]                      or, with signed frames,
              [empty] ["ZTH5"] [hop head] ["" from the server] ["ZTB5"] [token] [body]

A head's parts stand between colons, 200 bytes at most. What is none of the messages of protocol.md
14 is dropped and counted.
"""

from __future__ import annotations

import heapq
import itertools
import re
import struct
import time
from collections import Counter
from typing import Any, Final, NamedTuple

import msgspec
import zmq

from bridge_core.host.sockets import ClientSocketSpec, Context, client_socket
from bridge_core.protocol.limits import FRAME_TAG
from bridge_core.protocol.signing import Frames
from tests.support.ea_keys import EaKeys
from tests.support.fake_ea_faults import Faults

__all__ = ["HOP", "Link", "Ask"]

HOP: Final = b"ZTH5"
HEAD_BYTES_MAX: Final = 200
FRAME_BYTES_MAX: Final = 8_192

_N: Final = r"([1-9][0-9]{0,17})"
_RID: Final = r"((?!0{32})[0-9a-f]{32})"
_SYMBOL: Final = r"([!#-9;-\[\]-~](?:[ !#-9;-\[\]-~]{0,29}[!#-9;-\[\]-~])?)"
_NAT: Final = r"(0|[1-9][0-9]{0,17})"
_HEADS: Final = {
    word: re.compile(rf"{word}:" + ":".join(parts))
    for word, parts in {
        "WELCOME": ("([0-9a-f]{16})",),
        "EXEC": (_N, _NAT),
        "FORWARD": (_N,),
        "STATUS": (_N, _RID),
        "TOMBSTONE": (_N, _RID, "([a-z0-9-]{2,16})"),
        "TAG": (_N, _NAT),
        "ACCOUNT": (_N,),
        "HEALTH": (_N,),
        "POSITIONS": (_N, _NAT),
        "ORDERS": (_N, _NAT),
        "HISTORY": (_N, _NAT, _NAT, _NAT),
        "QUOTE": (_N, _SYMBOL),
        "SYMBOL": (_N, _SYMBOL),
        "CHECK": (_N, "(BUY|SELL)(?:_LIMIT|_STOP)?", r"([0-9.]{1,18})", _SYMBOL),
    }.items()
}
_WITH_FRAMES: Final = frozenset({"EXEC", "FORWARD"})


class Ask(NamedTuple):
    """One message of the server: its word, the parts after it, and the signed frames it carried."""

    word: str
    parts: tuple[str, ...]
    frames: Frames | None


def read_message(message: list[bytes]) -> Ask | None:
    """Return what a message of the server says, or None if it is none."""
    if len(message) not in (4, 7) or message[0] or message[1] != HOP or message[3]:
        return None
    if len(message[2]) > HEAD_BYTES_MAX:
        return None
    head = message[2].decode("ascii", "replace")
    word = head.partition(":")[0]
    shape = _HEADS.get(word)
    found = shape.fullmatch(head) if shape is not None else None
    if found is None or (len(message) == 7) is not (word in _WITH_FRAMES):
        return None
    frames = None
    if word in _WITH_FRAMES:
        if message[4] != FRAME_TAG:
            return None
        frames = Frames(message[5], message[6])
    return Ask(word, found.groups(), frames)


class Link:
    """Owned by the EA's thread."""

    def __init__(self, context: Context, keys: EaKeys, faults: Faults) -> None:
        self._context = context
        self._keys = keys
        self._faults = faults
        self._queue: list[tuple[float, int, list[bytes]]] = []
        self._order = itertools.count()
        self.counters: Counter[str] = Counter()
        self._open()

    def _open(self) -> None:
        spec = ClientSocketSpec(
            keys=self._keys.curve,
            server_public=self._keys.server_public,
            max_frame_bytes=FRAME_BYTES_MAX,
            rcvhwm=64,
        )
        self._socket = client_socket(self._context, zmq.DEALER, spec)
        wanted = zmq.EVENT_HANDSHAKE_SUCCEEDED
        self._monitor = self._socket.get_monitor_socket(wanted)
        self._socket.connect(self._keys.endpoint)

    def close(self) -> None:
        """Close the socket at once, as a killed process does."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)

    def reconnect(self) -> None:
        """Drop the connection and make another."""
        self.close()
        self._open()

    def connected_anew(self) -> bool:
        """Return whether a handshake was made since the last call."""
        anew = False
        while self._monitor.poll(0):
            event, _ = struct.unpack("=HI", self._monitor.recv_multipart()[0])
            anew = anew or event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        return anew

    def receive(self, wait_ms: int) -> Ask | None:
        """Return the next message of the server, None if none came in time or it was none."""
        due_ms = int((self._queue[0][0] - time.monotonic()) * 1000) if self._queue else wait_ms
        if not self._socket.poll(max(0, min(wait_ms, due_ms))):
            return None
        ask = read_message(self._socket.recv_multipart())
        if ask is None:
            self.counters["dropped_hop"] += 1
        return ask

    def say(self, head: str, body: Any = None, frames: Frames | None = None) -> None:
        """Send one message, as far as the faults let it."""
        kind = head.partition(":")[0]
        raw = msgspec.json.encode({} if body is None else body)
        message = [b"", HOP, head.encode("ascii"), raw]
        if frames is not None:
            message += [FRAME_TAG, *frames]
        due = time.monotonic() + self._faults.delay_s.get(kind, 0.0)
        for _ in range(self._faults.copies_of(kind)):
            heapq.heappush(self._queue, (due, next(self._order), message))
        self.flush()

    def flush(self) -> None:
        """Send what is due."""
        while self._queue and self._queue[0][0] <= time.monotonic():
            message = heapq.heappop(self._queue)[2]
            try:
                self._socket.send_multipart(message, zmq.NOBLOCK)
            except zmq.Again:
                self.counters["unsent"] += 1
