"""Where a waiting thread finds its replies, and what wakes a thread that sits in a select."""

from __future__ import annotations

import socket
import threading
from collections import deque

from bridge_core.protocol.signing import Frames

__all__ = ["Bell", "Mailbox"]


class Mailbox:
    """Where one waiter's replies are put; `link` also rings it when the connection changes."""

    __slots__ = ("_bell", "_frames", "_knocked", "link")

    def __init__(self, *, link: bool = False) -> None:
        """Start empty."""
        self._frames: deque[Frames] = deque()
        self._knocked = False
        self._bell: threading.Event | None = None  # most waits pump themselves and need none
        self.link = link

    @property
    def ready(self) -> bool:
        """Whether there is something to look at."""
        return bool(self._frames) or self._knocked

    def put(self, frames: Frames) -> None:
        """Add a reply and wake its waiter."""
        self._frames.append(frames)
        self.ring()

    def knock(self) -> None:
        """Wake the waiter without a reply."""
        self._knocked = True
        self.ring()

    def ring(self) -> None:
        """Wake the waiter, if it sleeps."""
        bell = self._bell
        if bell is not None:
            bell.set()

    def quiet(self) -> None:
        """Take the rings that have been heard."""
        if self._bell is not None:
            self._bell.clear()

    def hang_bell(self) -> bool:
        """Return whether a bell hung already; a waiter looks once more after hanging it.

        What rang before it hung was not heard: only a look after that may be followed by sleep.
        """
        if self._bell is not None:
            return True
        self._bell = threading.Event()
        return False

    def sleep(self, seconds: float) -> None:
        """Wait for a ring."""
        if self._bell is not None:
            self._bell.wait(seconds)

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
