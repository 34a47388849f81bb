"""The dead-man's switch: how long the strategy may be silent, and what follows (protocol.md 12.1).

Pure: the monotonic clock (ms) is an argument. Silence is counted from when a beat was signed, not
from when it came, so that beats that are held on the way keep nothing alive.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

__all__ = ["SCOPES", "DeadManSettings", "Mark", "DeadManPolicy", "Sequences", "Silence"]


class DeadManPolicy(StrEnum):
    """What happens to an account whose strategy is silent; each besides lowers the state."""

    REDUCE_ONLY = "reduce-only"
    CANCEL = "cancel"
    FLATTEN = "flatten"


# What the FLATTEN of a policy clears away (protocol.md 5.6).
SCOPES: Final = {DeadManPolicy.CANCEL: "PENDINGS", DeadManPolicy.FLATTEN: "ALL"}


class DeadManSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[dead_man]: seconds without a heartbeat, and what then happens."""

    after_s: Annotated[int, Meta(ge=5, le=3600)]
    policy: DeadManPolicy


class Mark(Struct, frozen=True, kw_only=True):
    """What outlives the process: one firing is one firing, whatever dies in between.

    `fired_ms` is UTC ms, 0 while there was a beat since. `rid` is the last FLATTEN of the firing,
    `tries` how many there were, `done` that nothing is left to do.
    """

    armed: bool = False
    fired_ms: int = 0
    rid: str = ""
    tries: int = 0
    done: bool = False


class Silence:
    """Counts since the last beat; armed by the first one, and then over restarts."""

    def __init__(self, after_ms: int, mark: Mark, mono_ms: int) -> None:
        """Begin to count now: what died may come back in the time that a beat is given."""
        self._after_ms = after_ms
        self._heard_ms = mono_ms
        self.mark = mark

    @property
    def state(self) -> str:
        """Return waiting (for the first beat), armed or fired."""
        if self.mark.fired_ms:
            return "fired"
        return "armed" if self.mark.armed else "waiting"

    def ms(self, mono_ms: int) -> int:
        """Return how long the strategy has been silent."""
        return max(0, mono_ms - self._heard_ms)

    def beat(self, mono_ms: int, age_ms: int) -> bool:
        """Take a beat signed `age_ms` ago; return whether the mark has changed by it.

        After a firing only a beat that is itself in time begins anew.
        """
        self._heard_ms = max(self._heard_ms, mono_ms - max(0, age_ms))
        if self.mark.armed and not self.mark.fired_ms:
            return False
        if self.ms(mono_ms) >= self._after_ms:
            return False
        self.mark = Mark(armed=True)
        return True

    def due(self, mono_ms: int) -> bool:
        """Return whether it fires now: once for one silence."""
        waits = self.mark.armed and not self.mark.fired_ms
        return waits and self.ms(mono_ms) >= self._after_ms

    def fire(self, now_ms: int, *, done: bool) -> None:
        """Note the firing (UTC ms); `done`: there is nothing to clear away."""
        self.mark = Mark(armed=True, fired_ms=max(1, now_ms), done=done)

    def tried(self, rid: str) -> Mark:
        """Return the mark with one more FLATTEN in it."""
        return msgspec.structs.replace(self.mark, rid=rid, tries=self.mark.tries + 1)


class Sequences:
    """The last heartbeat's number of each key id; it only grows."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def behind(self, kid: str, sequence: int) -> int | None:
        """Take a number, or return the last one when it does not exceed that."""
        last = self._last.get(kid, 0)
        if sequence <= last:
            return last
        self._last[kid] = sequence
        return None
