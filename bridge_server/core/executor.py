"""The side door of an executor that verifies and attests for itself (protocol.md 14).

Beside `Backend`, which one worker thread calls and may block: what stands here is called by the
loop's thread and never blocks. Questions about a row end in a `Told`, sooner or later; stops are
kept until the executor has acknowledged them.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from msgspec import Struct

from bridge_core.protocol.codes import Refusal
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_server.core.attested import Verdict, Wanted
from bridge_server.core.ports import Scan

__all__ = [
    "Acknowledged", "Alarm", "Attestor", "ExecutorPost", "ExecutorState", "HasHop", "Inquiry",
    "Relayed", "Told",
]  # fmt: skip


class ExecutorState(Struct, frozen=True, kw_only=True):
    """How the executor behind the hop stands; `since_ms` UTC ms, `ms` the last round trip.

    `name` is the hop's, as HEALTH shows it.
    `alive`: heard within the bound. `linked`: its terminal has the broker. `wrong_account` says
    how its account differs from the pinned one, "" if it does not. `clock` is its clock minus
    ours in ms. `caps` are the bounds it enforces itself, by name.
    """

    name: str = "server to EA"
    alive: bool = False
    linked: bool = False
    why: str = "no EA has connected yet"
    instance: str = ""
    since_ms: int = 0
    ms: str = ""
    wrong_account: str = ""
    clock_ms: int = 0
    kids: frozenset[str] = frozenset()
    state: str = ""
    cause: str = ""
    caps: tuple[tuple[str, str], ...] = ()
    note: str = ""
    counters: tuple[tuple[str, int], ...] = ()


class Inquiry(Struct, frozen=True, kw_only=True):
    """A question about one row: STATUS, and TOMBSTONE if it was never seen.

    `bury` False asks STATUS only: a FLATTEN whose children ran must not be buried. `magic` other
    than 0 asks besides what the broker shows under it, when the EA does not know.
    `fence` are a FENCE's frames, which are forwarded instead of asking STATUS.
    """

    wanted: Wanted
    bury: bool = True
    magic: int = 0
    fence: Frames | None = None


class Told(Struct, frozen=True, kw_only=True):
    """What came of an inquiry; a verdict of None: no answer, ask again later."""

    wanted: Wanted
    verdict: Verdict | None
    scan: Scan | None = None


class Relayed(Struct, frozen=True, kw_only=True):
    """A signed event of the executor's own; `hint` is what it seems to say, unverified."""

    frames: Frames
    stream: str
    seq: int
    hint: EventBody | None = None


class Acknowledged(Struct, frozen=True):
    """A stop has taken effect in the executor too."""

    op: Op


class Alarm(Struct, frozen=True):
    """Something a person must know; `code` is EA_TWICE, IDENTITY or EA_LIED."""

    code: str
    reason: str


ExecutorPost = Told | Relayed | Acknowledged | Alarm


@runtime_checkable
class HasHop(Protocol):
    """A backend behind a hop of its own."""

    def about(self) -> ExecutorState:
        """Return how the executor stands now."""

    def self_test(self) -> bool:
        """Return whether the hop refuses strangers; may wait for a moment."""


@runtime_checkable
class Attestor(HasHop, Protocol):
    """What the loop may ask of an attesting executor; nothing here blocks."""

    def refuses(self, kid: str, *, entry: bool) -> Refusal | None:
        """Return why an order of this kid could not run now; asked before the intent."""

    def ask(self, inquiry: Inquiry) -> None:
        """Ask about a row; the answer is a `Told`."""

    def forward(self, op: Op, frames: Frames) -> None:
        """Pass a HEARTBEAT on, once; if it cannot be sent it is lost."""

    def hold(self, op: Op, frames: Frames) -> None:
        """Pass a HALT or REDUCE_ONLY on, again and again until it is acknowledged."""

    def release(self) -> None:
        """Stop repeating stops: an operator's RESUME has ended them."""

    def take(self) -> list[ExecutorPost]:
        """Return what the executor has posted, in order, without waiting."""
