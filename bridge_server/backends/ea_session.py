"""Which EA is the one: instances, liveness, identity (protocol.md 14.3).

One instance at a time. A newer one is adopted only when the older has said BYE or has been silent
for EA_STALE_MS; two that speak at the same time are EA_TWICE. No socket and no clock here.
"""

from __future__ import annotations

from typing import Final, TypeVar

from msgspec import Struct, structs

from bridge_core.protocol import limits
from bridge_server.backends.ea_hop import Beat

__all__ = ["EaStatus", "Heard", "Pins", "Sessions"]

_REMEMBERED: Final = 64
_K = TypeVar("_K")


class Pins(Struct, frozen=True, kw_only=True):
    """The account that the terminal must be logged in to."""

    login: int
    server: str
    kind: str

    def differs(self, beat: Beat) -> str:
        """Return how an EA's account differs from the pinned one, "" if it does not."""
        shown = {"login": beat.account, "server": beat.server, "kind": beat.kind}
        wrong = [f"{name} {word}" for name, word in shown.items() if word != getattr(self, name)]
        return ", ".join(wrong)


class EaStatus(Struct, frozen=True, kw_only=True):
    """The adopted instance as any thread may read it; times ending `_mono` are monotonic ms."""

    instance: str = ""
    route: bytes = b""
    beat: Beat | None = None
    since_ms: int = 0
    heard_mono: int = 0
    busy_mono: int = 0
    gone: bool = False
    clock_ms: int = 0
    wrong_account: str = ""

    def alive(self, mono_ms: int) -> bool:
        """Return whether it is there: heard lately, or in a broker call that it announced."""
        return self.speaks(mono_ms) or (not self.gone and mono_ms < self.busy_mono)

    def speaks(self, mono_ms: int) -> bool:
        """Return whether it was heard lately: only one that does not may be replaced."""
        if self.beat is None or self.gone:
            return False
        return mono_ms - self.heard_mono < limits.EA_STALE_MS


class Heard(Struct, frozen=True):
    """What follows from a message: answer WELCOME, forget the older's calls, two are alive.

    `stranger`: over a connection that nobody has said HELLO on (a reconnect nobody noticed).
    """

    ours: bool = False
    stranger: bool = False
    welcome: bool = False
    adopted: bool = False
    twice: str = ""


class Sessions:
    """Owned by the link's thread; `status` is replaced as a whole."""

    def __init__(self, pins: Pins | None) -> None:
        self._pins = pins
        self.status = EaStatus()
        self._routes: dict[bytes, str] = {}
        self._first_heard: dict[str, int] = {}  # newer instances: when first, monotonic ms
        self._last_heard: dict[str, int] = {}
        self._since_mono = 0  # when the adopted one was first heard
        self._older: dict[str, int] = {}  # older instances: when the newer was first heard

    def greet(self, route: bytes, beat: Beat, wall_ms: int, mono_ms: int, *, hello: bool) -> Heard:
        """Take a HELLO or BEAT."""
        self._note_route(route, beat.instance)
        now = self.status
        if beat.instance == now.instance:
            welcome = hello or route != now.route or now.gone
            self._see(beat, wall_ms, mono_ms, route=route, gone=False)
            return Heard(ours=True, welcome=welcome, twice=self._twice_now(mono_ms))
        if beat.instance in self._older:
            return Heard(twice=self._twice_old(beat.instance, mono_ms))
        self._first_heard.setdefault(beat.instance, mono_ms)
        self._last_heard[beat.instance] = mono_ms
        if now.speaks(mono_ms):
            return Heard()
        self._adopt(route, beat, wall_ms, mono_ms)
        return Heard(ours=True, welcome=True, adopted=True)

    def hear(self, route: bytes, mono_ms: int) -> Heard:
        """Take any other message: whose is it?"""
        instance = self._routes.get(route, "")
        if instance and instance == self.status.instance:
            self.status = structs.replace(self.status, heard_mono=mono_ms)
            return Heard(ours=True, twice=self._twice_now(mono_ms))
        if instance in self._older:
            return Heard(twice=self._twice_old(instance, mono_ms))
        return Heard(stranger=not instance)

    def bye(self, instance: str) -> bool:
        """Take a BYE; returns whether the adopted instance is gone with it."""
        self._first_heard.pop(instance, None)
        self._last_heard.pop(instance, None)
        if instance != self.status.instance:
            return False
        self.status = structs.replace(self.status, gone=True)
        return True

    def busy(self, mono_ms: int) -> None:
        """Take a BUSY: silence is no death for a while."""
        self.status = structs.replace(self.status, busy_mono=mono_ms + limits.EA_BUSY_MS_MAX)

    def idle(self) -> None:
        """Take the answer that ends a BUSY."""
        self.status = structs.replace(self.status, busy_mono=0)

    # --- inside ------------------------------------------------------------------------------

    def _note_route(self, route: bytes, instance: str) -> None:
        self._routes.pop(route, None)
        self._routes[route] = instance
        _trim(self._routes)
        for known in (self._older, self._first_heard, self._last_heard):
            _trim(known)

    def _see(self, beat: Beat, wall_ms: int, mono_ms: int, *, route: bytes, gone: bool) -> None:
        # A beat ends BUSY: the EA has one thread, and it is not in a broker call now.
        self.status = structs.replace(
            self.status,
            beat=beat,
            route=route,
            heard_mono=mono_ms,
            busy_mono=0,
            gone=gone,
            clock_ms=beat.clock - wall_ms,
            wrong_account=self._pins.differs(beat) if self._pins is not None else "",
        )

    def _adopt(self, route: bytes, beat: Beat, wall_ms: int, mono_ms: int) -> None:
        if self.status.instance:
            self._older[self.status.instance] = self._first_heard[beat.instance]
        self._since_mono = self._first_heard.pop(beat.instance)
        self._last_heard.pop(beat.instance, None)
        self.status = EaStatus(instance=beat.instance, since_ms=wall_ms)
        self._see(beat, wall_ms, mono_ms, route=route, gone=False)

    def _twice_now(self, mono_ms: int) -> str:
        for other, first in self._first_heard.items():
            last = self._last_heard[other]
            # The one that was first heard before the other has to speak after it. One that died
            # before it was adopted, and another that took its place, were never two.
            spoke_after = mono_ms - first if first >= self._since_mono else last - self._since_mono
            if mono_ms - last < limits.EA_STALE_MS and spoke_after > limits.EA_TWICE_MS:
                return f"instances {self.status.instance} and {other} are both alive"
        return ""

    def _twice_old(self, instance: str, mono_ms: int) -> str:
        if mono_ms - self._older[instance] > limits.EA_TWICE_MS:
            return f"instances {instance} and {self.status.instance} are both alive"
        return ""


def _trim(known: dict[_K, str] | dict[_K, int]) -> None:
    # An EA that restarts for ever must not fill our memory.
    while len(known) > _REMEMBERED:
        del known[next(iter(known))]
