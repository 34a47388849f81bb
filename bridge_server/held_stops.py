"""HALT and REDUCE_ONLY on their way to an attesting executor: kept until it acknowledged them.

Kept over a restart too, in the journal's meta table: the EA must halt even if this server dies
between its own halt and the EA's.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bridge_core.host.sqlite import JournalFull
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_server.context import Context

__all__ = ["HeldStops"]

_KEY: Final = "ea_stops"


class HeldStops:
    """The last HALT and the last REDUCE_ONLY that the executor has not acknowledged."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self._executor = context.executor
        self._held: dict[str, tuple[str, str]] = {}

    def start(self) -> None:
        """Pass on what the last run could not."""
        if self._executor is None:
            return
        raw = self._c.journal.meta(_KEY)
        self._held = msgspec.json.decode(raw, type=dict[str, tuple[str, str]]) if raw else {}
        for op, (token, body) in self._held.items():
            self._executor.hold(Op(op), Frames(bytes.fromhex(token), bytes.fromhex(body)))

    def add(self, op: Op, frames: Frames) -> None:
        """Pass a stop on; the executor first, since that is what it is for."""
        if self._executor is None:
            return
        self._executor.hold(op, frames)
        self._held[op] = (frames.token.hex(), frames.body.hex())
        self._keep()

    def acknowledged(self, op: Op) -> None:
        """Forget a stop that the executor has taken."""
        if self._held.pop(op, None) is not None:
            self._keep()

    def release(self) -> None:
        """Forget them all: an operator's RESUME must not be undone by an older stop."""
        if self._executor is not None:
            self._executor.release()
        if self._held:
            self._held.clear()
            self._keep()

    def _keep(self) -> None:
        # Without room for it the stop holds all the same, until this server ends.
        try:
            with self._c.journal.transaction():
                self._c.journal.put_meta({_KEY: msgspec.json.encode(self._held).decode("ascii")})
        except JournalFull:
            return
