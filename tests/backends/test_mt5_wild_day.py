"""A wild day by hand at the stand-in: it folds, and every deal is told once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.mt5_seat import BUY_LIMIT, SELL_LIMIT, E, Seat, places
from tests.support.running import wait_until

D = Decimal


def _opens(seat: Seat, dice: random.Random) -> None:
    hand: Callable[..., int] = dice.choice((seat.broker.manual_buy, seat.broker.manual_sell))
    hand(E, f"0.{dice.randint(1, 40):02d}")


def _closes(seat: Seat, dice: random.Random) -> None:
    rows = seat.broker.positions()
    if not rows:
        return
    row = dice.choice(rows)
    lots = min(row["volume"], round(dice.randint(1, 30) / 100, 2))
    seat.broker.manual_close(row["ticket"], dice.choice((0, lots)))


def _stops(seat: Seat, dice: random.Random) -> None:
    for row in seat.broker.positions()[:1]:
        stop = dice.choice(("0", "1.00000")) if row["type"] == 0 else dice.choice(("0", "1.30000"))
        seat.broker.manual_modify(row["ticket"], sl=stop)


def _places_one(seat: Seat, dice: random.Random) -> None:
    kind, price = dice.choice(((BUY_LIMIT, "1.09700"), (SELL_LIMIT, "1.10300")))
    seat.broker.manual_pending(E, kind, f"0.{dice.randint(1, 40):02d}", price)


def _removes(seat: Seat, dice: random.Random) -> None:
    rows = seat.broker.orders()
    if rows:
        seat.broker.manual_remove(dice.choice(rows)["ticket"])


def _moves(seat: Seat, dice: random.Random) -> None:
    bid = D("1.1") + D(dice.randint(-50, 50)) / 10_000
    seat.broker.price(E, bid, bid + D("0.0001"))


def _lags(seat: Seat, dice: random.Random) -> None:
    seat.place.terms.deal_visible_after_ms = dice.choice((0, 0, 5, 20))
    seat.place.terms.history_visible_after_ms = dice.choice((0, 0, 5, 20))


ACTS = (_opens, _opens, _closes, _stops, _places_one, _removes, _moves, _lags)


@pytest.mark.parametrize("mode", ["hedging", "netting"])
def test_a_wild_day_at_the_stand_in_folds_and_every_deal_is_told_once(
    mode: str, tmp_path: Path
) -> None:
    with contextmanager(places)(tmp_path, mode) as place:
        for seed in (1, 2):
            _day(Seat(place), random.Random(seed))


def _day(seat: Seat, dice: random.Random) -> None:
    place = seat.place
    place.broker.price(E, "1.10000", "1.10010")
    before = {row["ticket"] for row in place.broker.history_deals(1, 2**31 - 1)}
    for _ in range(60):
        with suppress(KeyError):  # the terminal still shows a position that is gone
            dice.choice(ACTS)(seat, dice)
        if dice.random() < 0.5:
            seat.look()
    place.terms.deal_visible_after_ms = place.terms.history_visible_after_ms = 0

    def wanted() -> dict[int, int]:
        rows = place.broker.history_deals(1, 2**31 - 1)
        fresh = [row for row in rows if row["ticket"] not in before and row["type"] < 2]
        return {row["ticket"]: 2 if row["entry"] == 2 else 1 for row in fresh}

    def told() -> dict[int, int]:
        seat.look()
        return dict(Counter(one.deal for one in seat.told if one.deal))

    # The last deals may still be late, and what nobody is shown folds as well.
    wait_until(lambda: told() == wanted())
    seat.ends_well()
    wait_until(lambda: told() == wanted())
    assert len(wanted()) > 10
