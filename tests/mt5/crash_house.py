"""A house that is made for dying: copied in a moment, its server forked from a warm process."""

from __future__ import annotations

from typing import Any, Final, Self

from tests.mt5.house import House, terms_of
from tests.support.dying_house import DyingHouse, Edit, Stage

__all__ = ["CrashHouse", "CrashStage"]

_SERVER: Final = "tests.mt5.doomed_link"
_TTL_MS: Final = 5_000


class CrashStage(Stage):
    """One for a test session: the zygote, and the account that all others are copied from."""

    def __init__(self) -> None:
        super().__init__(warm=(_SERVER,))

    def make(self) -> House:
        """Make the account that is copied."""
        return House(self.folder)

    def open(
        self, margin_mode: str = "hedging", *, faults: bool = False, trade_ms: int = 0,
        ttl_ms: int = _TTL_MS,
    ) -> CrashHouse:  # fmt: skip
        """Return a house of its own; enter it to start it, leave it to end it.

        `faults` puts a faulty disk under the server's state; `trade_ms` is how long its runs let a
        trade call take (0: a minute, as it is); `ttl_ms` is how long an order lives.
        """
        house = CrashHouse(self, margin_mode, ttl_ms, faults=faults)
        if trade_ms:
            house.environment["ZTB_TEST_TRADE_MS"] = str(trade_ms)
        return house


class CrashHouse(DyingHouse, House):
    """`kill_server` as often as you like, and `terminal.faults` for the worker and the terminal."""

    module = _SERVER

    def __init__(self, stage: CrashStage, margin_mode: str, ttl_ms: int, *, faults: bool) -> None:
        self._margin_mode = margin_mode
        self._ttl_ms = ttl_ms
        super().__init__(stage, faults=faults, terms=terms_of(margin_mode=margin_mode))

    def edits(self) -> tuple[Edit, ...]:
        """Return what else differs from the template."""
        mine = f"mt5 = {{ path = '{self.terminal.path}', margin_mode = \"{self._margin_mode}\" }}"
        ttl = f"ttl_ms = {self._ttl_ms}\ndeviation = "
        return (
            ("server/server.toml", r"^mt5 = \{.*\}", mine),
            ("connector/connector.toml", r"^deviation = ", ttl),
        )

    def given(self) -> dict[str, Any]:
        """Return what else the server's process is given."""
        return {"environment": self.environment}

    @property
    def worker_pid(self) -> int:
        """The process that called the terminal last."""
        return self.terminal.calls[-1].pid

    def __enter__(self) -> Self:
        self.terminal.start()
        try:
            self.start_server()
        except BaseException:
            self.terminal.close()
            raise
        return self
