"""Whatever happens, however late it shows: events fold to the account, none is told twice."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_core.protocol.events import EVENT_TYPES
from bridge_server.backends.mt5_story import LATE_MS
from tests.support.mt5_watching import BUY, SELL, Desk, shown

D = Decimal

_lots = st.integers(1, 5).map(lambda n: f"0.{n:02d}")
_late = st.integers(0, 3)
_pick = st.integers(0, 7)
_acts = st.one_of(
    st.tuples(st.just("deal"), st.sampled_from([BUY, SELL]), _lots, _late),
    st.tuples(st.just("close"), _pick, _lots, _late),
    st.tuples(st.just("stops"), _pick, st.integers(0, 3)),
    st.tuples(st.just("rename"), _pick),
    st.tuples(st.just("place"), st.sampled_from([2, 3, 4, 5]), _lots),
    st.tuples(st.just("change"), _pick, st.integers(1, 3)),
    st.tuples(st.just("fill"), _pick, _lots, _late),
    st.tuples(st.just("end"), _pick, st.sampled_from([2, 5, 6]), _late),
    st.just(("look",)),
    st.just(("away",)),
    st.just(("back",)),
)
_days = st.lists(_acts, max_size=25)
# So many ms later than the position that it changed may a deal be dated.
_apart = st.sampled_from([0, 1, 5])


def act(desk: Desk, one: tuple[Any, ...]) -> None:
    """Let one thing happen; what it needs and is not there does not happen."""
    account = desk.account
    desk.clock.advance(7)
    positions, orders = list(account.positions.values()), list(account.orders.values())
    match one:
        case ("deal", side, lots, late):
            account.deal(side, lots, late=late)
        case ("close", n, lots, late) if positions:
            held = positions[n % len(positions)]
            volume = str(min(D(lots), D(str(held["volume"]))))
            account.deal(1 - held["type"], volume, at=held["identifier"], late=late)
        case ("stops", n, level) if positions:
            positions[n % len(positions)]["sl"] = 1.0 + level / 100
        case ("rename", n) if positions:
            positions[n % len(positions)]["ticket"] = account.number()
        case ("place", kind, lots):
            account.place(kind, lots)
        case ("change", n, level) if orders:
            orders[n % len(orders)]["price_open"] = 1.0 + level / 100
        case ("fill", n, lots, late) if orders:
            row = orders[n % len(orders)]
            account.fill(row["ticket"], str(min(D(lots), D(str(row["volume_current"])))), late)
        case ("end", n, state, late) if orders:
            account.end(orders[n % len(orders)]["ticket"], state, late)
        case ("look",):
            desk.look()
        case ("away",):
            desk.link.put(alive=False, linked=False, linked_mono=0)
        case ("back",) if not desk.link.status.alive:
            connects = desk.link.status.connects + 1
            desk.link.put(alive=True, linked=True, linked_mono=1, connects=connects)


def acting(desk: Desk, during: list[tuple[int, tuple[Any, ...]]]) -> Callable[[str], None]:
    """Return what lets things happen before the calls of these numbers."""
    due, count = dict(during), itertools.count()

    def before(_name: str) -> None:
        one = due.pop(next(count), None)
        if one is not None and one[0] not in ("look", "away", "back"):
            act(desk, one)

    return before


def whole(desk: Desk) -> None:
    """Judge a day once everything has become visible."""
    act(desk, ("back",))
    desk.look(5)
    assert (desk.fold.positions, desk.fold.orders) == shown(desk.account)
    # A deal that turns a netting position is told in two halves, every other one once.
    wanted_deals = {
        row["ticket"]: 2 if row["entry"] == 2 else 1 for row in desk.account.deals[desk.known :]
    }
    assert Counter(one.deal for one in desk.told if one.deal) == wanted_deals
    ends = Counter(
        (one.type, one.ticket)
        for one in desk.told
        if one.type in ("order_cancelled", "order_expired")
    )
    names = {2: "order_cancelled", 5: "order_cancelled", 6: "order_expired"}
    rows = [row for row in desk.account.ended if row["state"] != 4]
    assert ends == {(names[row["state"]], row["ticket"]): 1 for row in rows}
    assert {one.type for one in desk.told} <= set(EVENT_TYPES)


@given(
    before=_days,
    day=_days,
    netting=st.booleans(),
    during=st.lists(st.tuples(st.integers(0, 8), _acts)),
    apart_ms=_apart,
)
@settings(max_examples=150)
def test_what_happens_within_the_very_first_look_is_in_it_or_told_after_it(
    before: list[tuple[Any, ...]],
    day: list[tuple[Any, ...]],
    netting: bool,
    during: list[tuple[int, tuple[Any, ...]]],
    apart_ms: int,
) -> None:
    desk = Desk(netting=netting, begin=False)
    desk.account.apart_ms = apart_ms
    for one in before:
        if one[0] not in ("look", "away", "back"):
            act(desk, tuple(0 if n == 3 else part for n, part in enumerate(one)))
    desk.account.ended.clear()
    desk.link.before = acting(desk, during)
    desk.begin()
    shot = desk.reader.snapshot()
    desk.fold.positions = {
        one.ticket: (one.type, one.volume, one.sl, one.tp) for one in shot.positions.values()
    }
    desk.fold.orders = {
        one.ticket: (one.volume, one.price, one.sl, one.tp) for one in shot.orders.values()
    }
    for one in day:
        act(desk, one)
    desk.link.before = lambda _name: None
    act(desk, ("back",))
    desk.look(5)
    assert (desk.fold.positions, desk.fold.orders) == shown(desk.account)
    told = Counter(one.deal for one in desk.told if one.deal)
    halves = {row["ticket"]: 2 if row["entry"] == 2 else 1 for row in desk.account.deals}
    assert all(told[deal] == halves[deal] for deal in told)


@given(day=_days, netting=st.booleans())
@settings(max_examples=150)
def test_a_history_that_comes_in_any_order_still_folds_in_the_end(
    day: list[tuple[Any, ...]], netting: bool
) -> None:
    desk = Desk(netting=netting)
    desk.account.in_order = False
    for one in day:
        act(desk, one)
    act(desk, ("back",))
    desk.look(5)
    desk.clock.advance(LATE_MS)
    desk.look(2)
    assert (desk.fold.positions, desk.fold.orders) == shown(desk.account)
    assert max(Counter(one.deal for one in desk.told if one.deal).values(), default=0) <= 2


class Begun(Desk):
    """A desk whose account had a past when the watching began."""

    def __init__(self, before: list[tuple[Any, ...]], *, netting: bool, apart_ms: int) -> None:
        super().__init__(netting=netting, begin=False)
        self.account.apart_ms = apart_ms
        for one in before:
            if one[0] not in ("look", "away", "back"):
                act(self, tuple(0 if n == 3 else part for n, part in enumerate(one)))
        self.account.ended.clear()
        self.begin()


@given(day=_days, netting=st.booleans())
@settings(max_examples=300)
def test_the_events_of_any_day_fold_to_the_account_and_none_is_told_twice(
    day: list[tuple[Any, ...]], netting: bool
) -> None:
    desk = Desk(netting=netting)
    for one in day:
        act(desk, one)
    whole(desk)


@given(before=_days, day=_days, netting=st.booleans(), apart_ms=_apart)
@settings(max_examples=150)
def test_a_watch_that_begins_in_the_middle_tells_only_what_follows(
    before: list[tuple[Any, ...]], day: list[tuple[Any, ...]], netting: bool, apart_ms: int
) -> None:
    desk = Begun(before, netting=netting, apart_ms=apart_ms)
    for one in day:
        act(desk, one)
    whole(desk)


@given(
    day=_days, netting=st.booleans(), during=st.lists(st.tuples(st.integers(0, 40), _acts)),
)  # fmt: skip
@settings(max_examples=200)
def test_what_happens_between_two_calls_of_one_look_is_neither_lost_nor_told_twice(
    day: list[tuple[Any, ...]], netting: bool, during: list[tuple[int, tuple[Any, ...]]]
) -> None:
    desk = Desk(netting=netting)
    desk.link.before = acting(desk, during)
    for one in day:
        act(desk, one)
    desk.link.before = lambda _name: None
    whole(desk)
