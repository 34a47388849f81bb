"""Plays the rows of a table of crash points, several houses at a time, a few turns in each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar

import pytest

from bridge_client import BridgeError, Connector, OrderResult, Status
from tests.support.dying_house import DyingHouse
from tests.support.running import wait_until

__all__ = [
    "LOOK_S", "PATIENCE_S", "Matrix", "Played", "Turn", "be_ready", "live", "outcome", "resume",
    "would_go",
]  # fmt: skip

PATIENCE_S: Final = 60.0
# Between two questions that ask the same: whoever asks more often takes the time of the answer.
LOOK_S: Final = 0.03
_HOUSE_TURNS: Final = 7
_SYMBOLS: Final = ("EURUSD", "USDJPY")


class _Row(Protocol):
    """What the matrix has to know of a row."""

    @property
    def id(self) -> str: ...

    @property
    def faults(self) -> bool: ...


class Turn(Protocol):
    """One turn: an order, what may become of it, and where it was met by what."""

    bridge: Connector

    @property
    def ends(self) -> Sequence[tuple[Any, ...]]: ...

    def prepare(self) -> None: ...

    def ended(self) -> tuple[Any, ...]: ...

    def ended_anew(self) -> tuple[Any, ...]:
        """The end as a restarted strategy is told it; asking runs nothing."""
        ...

    def story(self) -> str: ...


Row = TypeVar("Row", bound=_Row)
T = TypeVar("T", bound=Turn)


class Played(NamedTuple):
    """One turn that ended as it must: how, after how many seconds."""

    end: tuple[Any, ...]
    seconds: float


def be_ready(house: DyingHouse, bridge: Connector) -> None:
    """Wait until an entry would be sent: terminal, prices and account are known and new."""
    house.ready()
    wait_until(lambda: bridge.health().state == "ACTIVE", PATIENCE_S, LOOK_S)
    for symbol in _SYMBOLS:  # their prices do not come together
        wait_until(partial(would_go, bridge, symbol), PATIENCE_S, LOOK_S)


def would_go(bridge: Connector, symbol: str = "EURUSD") -> bool:
    """Whether an entry would be sent now."""
    try:
        return bridge.check_order(symbol, "BUY", "0.01").status is Status.OK
    except BridgeError:
        return False


def resume(house: DyingHouse, cause: str) -> None:
    """End a latch, as the operator."""
    with house.connector("operator", "operator") as operator:
        operator.connect(PATIENCE_S)
        done = operator.resume(cause, "the test goes on")
        assert done.status in (Status.DONE, "OK"), done


def outcome(told: OrderResult) -> tuple[str, str, str, int, float]:
    """Return what is the same each time an order is asked for."""
    return told.status, told.code, told.rid, told.ticket, told.price


def live(
    house: DyingHouse, make: Callable[[Connector], list[T]], befall: Callable[[T], None]
) -> list[Played]:
    """Play these turns, one after the other, in a house that is open."""
    played: list[Played] = []
    with house.connector() as bridge:
        turns = make(bridge)
        be_ready(house, bridge)
        # A new journal asks the server first what it may have forgotten; that takes its time.
        first = bridge.buy("EURUSD", "0.01", wait=PATIENCE_S)
        assert first.status is Status.FILLED, first
        for turn in turns:
            be_ready(house, bridge)
            turn.prepare()
            began = time.monotonic()
            befall(turn)
            end = turn.ended()
            assert end in turn.ends, f"{end} {turn.story()}"
            played.append(Played(end, time.monotonic() - began))
    with house.connector() as bridge:  # the strategy was restarted
        bridge.connect(PATIENCE_S)
        wait_until(lambda: bridge.unfinished() == [], PATIENCE_S, LOOK_S)
        for turn, one in zip(turns, played, strict=True):
            turn.bridge = bridge
            assert turn.ended_anew() == one.end, turn.story()
    return played


class Matrix(Generic[Row]):
    """Begins every row at once, so that waits overlap; each test takes the runs of its own row.

    `play` plays some turns of a row in one house and judges it; `houses` are open at one time.
    """

    def __init__(self, play: Callable[[Row, list[int]], list[Played]], houses: int) -> None:
        self._play = play
        self._pool = ThreadPoolExecutor(houses, thread_name_prefix="crash")
        self._runs: dict[str, list[Future[list[Played]]]] = {}

    def begin(
        self, request: pytest.FixtureRequest, times: Callable[[Row], int],
        kind: Callable[[Row, int], str] = lambda row, turn: "", *, no_faults: str = "",
    ) -> None:  # fmt: skip
        """Queue the rows of the tests beside the one that asks: in a long test so many turns of
        it, a few to a house; only those of one kind share one.
        """
        for item in request.session.items:
            callspec = getattr(item, "callspec", None)
            if item.path != request.path or callspec is None:
                continue
            row: Row = callspec.params["row"]
            if not (row.faults and no_faults):
                turns = times(row) if item.get_closest_marker("long") else 1
                self._begin(item.nodeid, row, turns, kind)

    def _begin(self, name: str, row: Row, times: int, kind: Callable[[Row, int], str]) -> None:
        kinds: dict[str, list[int]] = {}
        for turn in range(times):
            kinds.setdefault(kind(row, turn), []).append(turn)
        self._runs[name] = [
            self._pool.submit(self._play, row, turns[first : first + _HOUSE_TURNS])
            for turns in kinds.values()
            for first in range(0, len(turns), _HOUSE_TURNS)
        ]

    def judge(self, request: pytest.FixtureRequest, row: Row) -> None:
        """Wait for the turns of a test's row; raises what the first broken house raised."""
        if request.node.nodeid not in self._runs:
            pytest.skip("a faulty disk (install gcc)")
        houses = self._runs[request.node.nodeid]
        print(_summary(row.id, [one for house in houses for one in house.result()]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give up what has not begun and wait for the rest."""
        self._pool.shutdown(cancel_futures=True)


def _summary(row: str, played: Sequence[Played]) -> str:
    """One line for a report."""
    seen = Counter(" ".join(map(str, one.end)) for one in played)
    each = sum(one.seconds for one in played) / max(1, len(played))
    return f"{len(played):>4} turns {each:5.2f} s each  {row}: {dict(seen)}"
