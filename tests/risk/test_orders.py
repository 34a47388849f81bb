"""What only takes away, what is added, volumes, tickets and repeats; what a refusal says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.checks_basic import ticket_known, volume_on_grid
from bridge_core.risk.entry import added, held_of, moves_price, shrinks, staked, tightens
from bridge_core.risk.facts import Pending, Position
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture, Swing
from bridge_core.risk.state import SENT_MAX, Sent
from tests.support.risk_world import (
    NOW,
    SPECS,
    cancel,
    close,
    code,
    code_c,
    identity,
    judge,
    modify,
    opening,
    pending,
    picture,
    position,
    quote,
    state,
)

_C = ReasonCode
D: Final = Decimal
_NETTING: Final = identity(margin_mode="netting")


def _netting(*held: Position, **over: Any) -> Picture:
    return picture(held, identity=_NETTING, **over)


# --- what only takes away --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "type_", "volume", "smaller"),
    [("BUY", "SELL", "0.10", True), ("BUY", "SELL", "0.09", True), ("BUY", "SELL", "0.11", False),
     ("BUY", "BUY", "0.01", False), ("SELL", "BUY", "0.10", True), ("SELL", "BUY", "0.11", False),
     ("SELL", "SELL", "0.01", False), ("BUY", "SELL_LIMIT", "0.10", False)],
)  # fmt: skip
def test_an_opposite_order_shrinks_a_netting_position_as_far_as_flat(
    held: str, type_: str, volume: str, smaller: bool
) -> None:
    order = opening(type_, volume)
    assert shrinks(order, _netting(position(1, held), position(2, symbol="USDJPY"))) is smaller
    assert not shrinks(order, picture([position(1, held)]))  # on a hedging account it adds a leg
    assert not shrinks(order, picture([position(1, held)], identity=None))
    assert not shrinks(close(position(1, held)), _netting(position(1, held)))


def test_what_rests_or_flies_in_the_same_direction_may_have_shrunk_it_already() -> None:
    order, held = opening("SELL", "0.06"), position()
    selling = pending(type="SELL_STOP", volume=D("0.05"))
    flying = Flying(symbol="EURUSD", type="SELL", volume=D("0.05"))
    assert not shrinks(order, _netting(held, orders=[selling]))
    assert not shrinks(order, _netting(held, flying=(flying,)))
    other = structs.replace(flying, symbol="USDJPY")
    buying = structs.replace(flying, type="BUY")
    assert shrinks(order, _netting(held, flying=(other, buying)))


def test_nothing_held_cannot_shrink() -> None:
    assert not shrinks(opening("SELL", "0.01"), _netting())


@pytest.mark.parametrize(
    ("type_", "old", "new", "tighter"),
    [("BUY", "0", "1.09", True), ("BUY", "1.09", "1.09", True), ("BUY", "1.09", "1.091", True),
     ("BUY", "1.09", "1.089", False), ("BUY", "1.09", "0", False), ("BUY", "0", "0", False),
     ("SELL", "1.12", "1.11", True), ("SELL", "1.12", "1.13", False)],
)  # fmt: skip
def test_a_stop_is_tighter_if_there_is_no_more_to_lose(
    type_: str, old: str, new: str, tighter: bool
) -> None:
    assert tightens(modify(position(1, type_, sl=D(old)), sl=new)) is tighter
    resting = pending(1, f"{type_}_STOP", sl=D(old))
    assert tightens(modify(resting, sl=new)) is tighter
    assert not tightens(modify(resting, sl=new, price="1.05"))


def test_only_a_change_of_something_held_can_be_tighter() -> None:
    assert not tightens(opening(sl="1.09"))
    assert not tightens(Proposal(kind="MODIFY", symbol="", sl=D("1.09")))
    assert held_of(opening()) is None


def test_a_change_that_moves_a_resting_price_is_that_order_again() -> None:
    held = pending(sl=D("1.08"))
    moved = modify(held, sl="1.08", price="1.085")
    assert moves_price(moved)
    assert not moves_price(modify(held, sl="1.07"))
    entry = added(moved, picture((), [held]))
    assert entry is not None
    assert (entry.type, entry.volume, entry.price, entry.sl) == (
        "BUY_LIMIT", D("0.10"), D("1.085"), D("1.08"),
    )  # fmt: skip
    assert added(modify(held, sl="1.07"), picture()) is None
    assert added(close(position()), picture()) is None


@pytest.mark.parametrize("held", [position(sl=D("1.09")), pending(sl=D("1.08"))])
def test_only_a_change_that_loosens_puts_more_at_stake(held: Position | Pending) -> None:
    wider, nearer = modify(held, sl="1.05"), modify(held, sl="1.0899")
    at = picture()
    found = staked(wider, at)
    assert found is not None
    assert (found.volume, found.sl) == (held.volume, D("1.05"))
    assert staked(cancel(pending()), at) is None
    assert staked(Proposal(kind="MODIFY", symbol="", sl=D(1)), at) is None
    if isinstance(held, Pending):
        assert staked(nearer, at) is None


def test_a_moved_order_takes_the_place_of_itself_and_adds_nothing_to_itself() -> None:
    held = pending(volume=D("0.20"))
    at = picture((), [held], risk={"max_total_exposure": 22_000})
    assert judge(modify(held, price="1.09999"), at) is None
    less = picture((), [held], risk={"max_total_exposure": 21_999})
    refusal = judge(modify(held, price="1.09999"), less)
    assert refusal == Refusal(
        _C.MAX_EXPOSURE, limit="21999.00", value="21999.80", headroom="21999.00"
    )


# --- volume ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volume", "bound"), [("0", "0.01"), ("0.00", "0.01"), ("0.005", "0.01"), ("1000.01", "1000")]
)
def test_a_volume_outside_the_brokers_bounds_is_told_the_bound(volume: str, bound: str) -> None:
    refusal = judge(opening(volume=volume), picture(limits={"max_volume": D(2_000)}))
    assert refusal == Refusal(_C.VOLUME_GRID, limit=bound, value=volume, nearest=(bound,))


@given(st.decimals("0.01", "100", places=8))
def test_no_off_grid_volume_is_ever_accepted_or_rounded(volume: Decimal) -> None:
    refusal = judge(opening(volume=format(volume, "f")), picture())
    if volume * 100 == int(volume * 100):
        assert refusal is None
        return
    assert refusal is not None
    below, above = (Decimal(near) for near in refusal.nearest)
    assert below < volume < above
    assert above - below == Decimal("0.01")


@pytest.mark.parametrize(
    ("volume", "passes"),
    [("0", True), ("0.01", True), ("0.10", True), ("0.11", False), ("0.055", False),
     ("0.009", False)],
)  # fmt: skip
def test_a_close_takes_at_most_the_position_and_on_the_step(volume: str, passes: bool) -> None:
    held = position()
    assert code(close(held, volume), picture([held])) is (None if passes else _C.VOLUME_GRID)


def test_a_close_is_bounded_by_the_brokers_largest_volume_too_and_by_no_limit_of_ours() -> None:
    held = position(volume=D(1_500))
    at = picture([held], limits={"max_volume": D("0.01")})
    assert judge(close(held, "1000"), at) is None
    assert code(close(held, "1000.01"), at) is _C.VOLUME_GRID


@pytest.mark.parametrize("volume", ["NaN", "-1", "0.000000001", "1000000000"])
def test_a_volume_that_no_message_can_carry_is_refused_even_where_no_grid_is_known(
    volume: str,
) -> None:
    held = position()
    assert code_c(opening(volume=volume), picture()) is _C.VOLUME_GRID
    assert code_c(close(held, volume), picture([held], symbols={})) is _C.VOLUME_GRID


def test_a_close_of_a_symbol_without_grids_is_left_to_who_knows_them() -> None:
    held = position()
    at = picture([held], symbols={})
    assert judge(close(held, "0.05"), at, "C") is None
    assert code(close(held, "0.05"), at) is _C.SYMBOL_UNKNOWN
    assert judge(close(held), at) is None
    assert judge(cancel(pending()), at) is None
    assert volume_on_grid(opening(), at) == Refusal(_C.SYMBOL_UNKNOWN)


# --- tickets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [close(position()), modify(position(), sl="1.09"), modify(pending(), sl="1.08"),
     cancel(pending())],
)  # fmt: skip
def test_what_is_open_may_be_closed_changed_and_cancelled(order: Proposal) -> None:
    assert judge(order, picture()) is None
    lost = structs.replace(order, position=None, pending=None, ticket=99)
    assert ticket_known(lost, picture()) == Refusal(_C.TICKET_UNKNOWN, value="99")
    other = structs.replace(order, symbol="USDJPY")
    assert code(other, picture()) is _C.TICKET_UNKNOWN


def test_a_close_of_a_resting_order_or_a_cancel_of_a_position_names_nothing() -> None:
    crossed = structs.replace(close(position()), position=None, pending=pending())
    assert code(crossed, picture()) is _C.TICKET_UNKNOWN
    crossed = structs.replace(cancel(pending()), pending=None, position=position())
    assert code(crossed, picture()) is _C.TICKET_UNKNOWN


@pytest.mark.parametrize(
    "order",
    [close(position()), modify(position(), sl="1.09"), cancel(pending())],
    ids=["close", "modify", "cancel"],
)
def test_a_foreign_ticket_is_touched_only_where_all_are_managed(order: Proposal) -> None:
    foreign = structs.replace(order, ours=False)
    assert judge(foreign, picture()) is None
    assert code(foreign, picture(risk={"manage": "own"})) is _C.NOT_OURS
    assert judge(order, picture(risk={"manage": "own"})) is None


# --- repeats ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "second",
    [opening("SELL"), opening(volume="0.11"), opening(symbol="USDJPY")],
    ids=["type", "volume", "symbol"],
)
def test_another_type_volume_or_symbol_is_no_repeat(second: Proposal) -> None:
    sent = [Sent("EURUSD", "BUY", D("0.10"), NOW)]
    at = picture(risk={"duplicate_window_s": 5}, state=state(sent=sent))
    assert judge(second, at) is None
    assert code(opening(volume="0.1"), at) is _C.DUPLICATE_INTENT


def test_a_memory_full_of_recent_orders_refuses_rather_than_forgets() -> None:
    sent = [Sent("EURUSD", "BUY", D(n + 1), NOW - 1) for n in range(SENT_MAX)]
    at = picture(risk={"duplicate_window_s": 5}, state=state(sent=sent))
    assert code(opening("SELL"), at) is _C.DUPLICATE_INTENT
    sent[0] = Sent("EURUSD", "BUY", D(1), NOW - 5_000)
    assert judge(opening("SELL"), structs.replace(at, state=state(sent=sent))) is None


# --- the market ------------------------------------------------------------------------------


def test_the_quote_now_counts_into_the_movement_of_the_window() -> None:
    calm = {"EURUSD": Swing(D("1.10100"), D("1.10050"))}
    at = picture(limits={"max_move": D("0.04")}, swings=calm)
    refusal = judge(opening(), at)  # from 1.10005 now to 1.10100
    assert refusal == Refusal(_C.MAX_MOVE, limit="0.04%", value="0.09%")


def test_a_wide_spread_is_told_in_points() -> None:
    wide = {"EURUSD": quote(ask="1.10020")}
    refusal = judge(opening(), picture(limits={"max_spread": 5}, quotes=wide))
    assert refusal == Refusal(_C.MAX_SPREAD, limit="5", value="20")


def test_a_symbol_without_limits_is_judged_by_a_tick_age_all_the_same() -> None:
    held = position(sl=D("1.09"))
    old = {"EURUSD": quote(time_ms=NOW - 60_001)}
    at = picture([held], quotes=old)
    bare = structs.replace(at, policy=structs.replace(at.policy, symbols={}))
    assert code(modify(held, sl="1.08"), bare) is _C.STALE_QUOTE
    assert judge(modify(held, sl="1.095"), bare) is None
    assert SPECS["EURUSD"].symbol not in bare.policy.symbols
