"""Every control: at its limit, one step over it, without its data, with another order in flight."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pytest
from msgspec import structs

from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import ReasonCode
from bridge_core.risk.controls import CONTROLS, Check, checks_of
from tests.risk.case import Case, Pair
from tests.risk.cases import CASES
from tests.support.risk_world import (
    cancel,
    close,
    code,
    code_c,
    identity,
    judge,
    modify,
    opening,
    pending,
    position,
    with_first,
)

_IDS: Final = [f"{case.number}-{case.code}-{n}" for n, case in enumerate(CASES)]
_each = pytest.mark.parametrize("case", CASES, ids=_IDS)
_CHECKED: Final = tuple(one for one in CONTROLS if one.check is not None)
# Only the server can say these; the connector leaves them to it.
_SERVER_ONLY: Final = frozenset({ReasonCode.TICKET_UNKNOWN})


# --- the table -------------------------------------------------------------------------------


def test_every_number_of_the_catalogue_is_in_the_table() -> None:
    assert {one.number for one in CONTROLS} == set(range(1, 38))


def test_the_checks_stand_in_the_order_of_their_codes() -> None:
    codes = [one.code for one in _CHECKED]
    assert codes == sorted(codes, key=list(ReasonCode).index)


def test_every_pre_trade_code_has_a_check_on_each_side_that_says_it() -> None:
    names = list(ReasonCode)
    first, last = names.index(ReasonCode.SYMBOL_NOT_ALLOWED), names.index(ReasonCode.DRAWDOWN)
    for side in "CS":
        said = {one.code for one in _CHECKED if side in one.sides}
        missing = set(names[first : last + 1]) - said
        assert missing == (set(_SERVER_ONLY) if side == "C" else set())


def test_the_code_table_names_the_sides_that_say_a_code() -> None:
    for one in _CHECKED:
        by = CODES[one.code].by
        assert by == ("server" if one.code in _SERVER_ONLY else "server or connector"), one.code


def test_a_control_has_a_check_and_sides_or_says_where_it_lives() -> None:
    for one in CONTROLS:
        assert bool(one.sides) == (one.check is not None) == (not one.where), one
        assert (one.code is ReasonCode.NONE) == (one.check is None), one
        assert one.sides in ("", "C", "S", "CS")


def test_no_check_stands_twice_in_the_list_of_a_side() -> None:
    for side in "CS":
        found: tuple[Check, ...] = checks_of(side)
        assert len(set(found)) == len(found) > 40


def test_every_control_with_a_check_has_a_row() -> None:
    rows = {(case.number, case.code) for case in CASES}
    assert {(one.number, one.code) for one in _CHECKED} == rows


# --- the rows --------------------------------------------------------------------------------


@_each
def test_at_its_limit_an_order_passes_on_both_sides(case: Case) -> None:
    assert judge(case.order, case.at) is None
    assert judge(case.order, case.at, "C") is None


@_each
def test_one_step_over_its_limit_is_refused_by_both_sides(case: Case) -> None:
    assert code(case.over, case.beyond) is case.code
    assert code_c(case.over, case.beyond) is (None if case.code in _SERVER_ONLY else case.code)


@_each
def test_without_its_data_nothing_passes(case: Case) -> None:
    if isinstance(case.blind, str):
        assert case.blind  # the reason why there is none
        return
    for at in case.blind:
        assert judge(case.order, at) is not None, at
        assert judge(case.order, at, "C") is not None, at


@_each
def test_a_check_by_itself_never_fails_for_want_of_data(case: Case) -> None:
    pictures = [case.at, case.beyond, *(case.blind if not isinstance(case.blind, str) else ())]
    for one in _CHECKED:
        assert one.check is not None
        for at in pictures:
            refusal = one.check(case.order, at)
            assert refusal is None or refusal.code in ReasonCode


@_each
def test_two_orders_that_are_each_fine_and_jointly_not_do_not_both_pass(case: Case) -> None:
    if not isinstance(case.pair, Pair):
        assert case.pair  # the reason why there is none
        return
    first, second, at = case.pair
    assert judge(first, at) is None
    assert judge(second, at) is None
    for side in "CS":
        refusal = judge(second, with_first(first, at), side)
        assert refusal is not None
        assert refusal.code is case.code


@_each
def test_what_only_takes_away_is_never_refused_by_a_limit(case: Case) -> None:
    if not case.reduces:
        return
    held, other = position(901, sl=Decimal("1.09")), pending(902)
    at = structs.replace(
        case.beyond,
        positions={**case.beyond.positions, held.ticket: held},
        orders={**case.beyond.orders, other.ticket: other},
    )
    blind = structs.replace(at, account=None, identity=None, state=None, quotes={}, swings={})
    for order in (close(held), cancel(other), modify(held, sl="1.09100"), modify(held, sl="1.09")):
        for world in (at, blind):
            for side in "CS":
                refusal = judge(order, world, side)
                grids = case.code is ReasonCode.SYMBOL_UNKNOWN and order.kind == "MODIFY"
                assert refusal is None or grids, (order.kind, refusal)


# Permission, grids and what the order itself says wrong are minded; limits and prices are not.
_OWN_FAULTS: Final = frozenset(
    {
        ReasonCode.SYMBOL_NOT_ALLOWED, ReasonCode.TYPE_NOT_ALLOWED, ReasonCode.SYMBOL_UNKNOWN,
        ReasonCode.VOLUME_GRID, ReasonCode.PRICE_GRID, ReasonCode.PRICE_SIDE,
        ReasonCode.STOPS_SIDE, ReasonCode.STOPS_LEVEL, ReasonCode.EXPIRATION,
        ReasonCode.TICKET_UNKNOWN, ReasonCode.NOT_OURS,
    }
)  # fmt: skip


@_each
def test_an_entry_that_only_shrinks_a_netting_position_is_refused_by_no_limit(case: Case) -> None:
    if case.code in _OWN_FAULTS:
        return
    held = position(901, "SELL", volume=Decimal("0.10"))
    at = structs.replace(
        case.beyond, identity=identity(margin_mode="netting"), positions={held.ticket: held},
        orders={}, account=None, state=None,
    )  # fmt: skip
    for world in (at, structs.replace(at, quotes={})):
        assert judge(opening("BUY", "0.10"), world) is None
        assert judge(opening("BUY", "0.10"), world, "C") is None
        assert judge(opening("BUY", "0.11"), world) is not None
