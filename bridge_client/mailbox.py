"""Where a waiting thread finds its replies, and what wakes a thread that sits in a select."""

from __future__ import annotations

import socket
import threading
from collections import deque

from bridge_core.protocol.signing import Frames

__all__ = ["Bell", "Mailbox"]


class Mailbox:
    """Where one waiter's replies are put; `link` also rings it when the connection changes."""

    __slots__ = ("_frames", "_knocked", "bell", "link")

    def __init__(self, *, link: bool = False) -> None:
        """Start empty."""
        self._frames: deque[Frames] = deque()
        self._knocked = False
        self.bell = threading.Event()
        self.link = link

    @property
    def ready(self) -> bool:
        """Whether there is something to look at."""
        return bool(self._frames) or self._knocked

    def put(self, frames: Frames) -> None:
        """Add a reply and wake its waiter."""
        self._frames.append(frames)
        self.bell.set()

    def knock(self) -> None:
        """Wake the waiter without a reply."""
        self._knocked = True
        self.bell.set()

    def take(self) -> Frames | None:
        """Return the oldest reply, or None; the knock is heard by that."""
        self._knocked = False
        try:
            return self._frames.popleft()
        except IndexError:
            return None


class Bell:
    """A descriptor that another thread can make readable."""

    def __init__(self) -> None:
        self._ring, self.hear = socket.socketpair()
        self._ring.settimeout(0)
        self.hear.settimeout(0)

    def ring(self) -> None:
        """Ring; a bell that is ringing already is enough."""
        try:
            self._ring.send(b"!")
        except OSError:
            return

    def quiet(self) -> None:
        """Take the rings that have been heard."""
        try:
            self.hear.recv(4096)
        except OSError:
            return

    def close(self) -> None:
        """Close both ends."""
        self._ring.close()
        self.hear.close()
