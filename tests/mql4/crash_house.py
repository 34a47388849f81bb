"""A house that is made for dying: copied in a moment, its server forked from a warm process."""

from __future__ import annotations

import time
from typing import Any, Final, Self

from tests.mql4.house import House
from tests.support.dying_house import DyingHouse, Edit, Stage
from tests.support.running import wait_until

__all__ = ["CrashHouse", "CrashStage"]

_SETTLE_S: Final = 1
_READY_S: Final = 40.0
# A request signed before the EA's start plus this has to be looked for, and does not run.
_FENCE_S: Final = 1.1


class CrashStage(Stage):
    """One for a test session: the zygote, and the account that all others are copied from."""

    def make(self) -> House:
        """Make the account that is copied."""
        return House(self.folder)

    def open(self, *, faults: bool = False, call_ms: int = 0) -> CrashHouse:
        """Return a house of its own; enter it to start it, leave it to end and judge it."""
        return CrashHouse(self, faults=faults, call_ms=call_ms)


class CrashHouse(DyingHouse, House):
    """`kill_server` and `terminal.kill` as often as you like.

    `faults` puts a faulty disk under the server's state; `call_ms` is how long its next run lets a
    broker call take (0: a minute, as it is).
    """

    module = "tests.mql4.doomed_relay"

    def __init__(self, stage: CrashStage, *, faults: bool, call_ms: int) -> None:
        super().__init__(stage, faults=faults, inputs={"SettleSeconds": _SETTLE_S})
        self.call_ms = call_ms

    def edits(self) -> tuple[Edit, ...]:
        """Return what else differs from the template."""
        return (("ea/bridge.key", r"127\.0\.0\.1:\d+", f"127.0.0.1:{self.port + 2}"),)

    def given(self) -> dict[str, Any]:
        """Return what else the server's process is given."""
        return {"call_ms": self.call_ms}

    # --- whoever is there ----------------------------------------------------------------------

    def start_terminal(self) -> None:
        """Start the terminal with the EA; whether the server is there does not matter."""
        assert self.terminal.start() == 0, self.terminal.prints[-5:]
        self._fence = time.time() + _FENCE_S

    def ready(self) -> None:
        """Wait until a new order would run: the server is ACTIVE, the EA past its boot fence."""
        super().ready()
        wait_until(lambda: time.time() > self._fence, _READY_S)

    def __enter__(self) -> Self:
        try:
            self.start_terminal()
            self.start_server()
        except BaseException:
            self.close()
            self.terminal.kill()
            raise
        return self
