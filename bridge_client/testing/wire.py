"""A connection that loses replies to orders on purpose, after they arrived and unread."""

from __future__ import annotations

import threading

from bridge_client.order import rid_of
from bridge_client.transport import Dial, Transport
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import parse_request

__all__ = ["LossyTransport"]

_ORDER = "RISK_PASS"


class LossyTransport(Transport):
    """Drops the next replies to orders; everything else passes."""

    def __init__(self, dial: Dial) -> None:
        """Start to connect; nothing is lost until `lose`."""
        self._losing = threading.Lock()
        self._left = 0
        self._ordered: set[str] = set()
        self.lost = 0
        super().__init__(dial)

    def lose(self, count: int) -> None:
        """Drop so many replies to orders more; 0 ends it."""
        with self._losing:
            self._left = self._left + count if count else 0

    def send(self, frames: Frames) -> bool:
        """Send a request, and remember whether it is an order's."""
        token = parse_request(frames.token)
        if token is not None and token.prefix == _ORDER:
            self._ordered.add(token.rid)
        return super().send(frames)

    def _serve(self, got: list[Frames]) -> None:
        super()._serve([frames for frames in got if not self._drops(frames)])

    def _drops(self, frames: Frames) -> bool:
        with self._losing:
            if not self._left or rid_of(frames) not in self._ordered:
                return False
            self._left -= 1
            self.lost += 1
            return True
