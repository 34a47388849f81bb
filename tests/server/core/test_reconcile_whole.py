"""What is half shown, refused later or doubled: a broker that keeps every order on record."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.messages import Request
from bridge_server.core.orders import Evidence
from bridge_server.core.ports import EndedOrder, Executed, Facts, Rejected
from bridge_server.core.reconcile import Absence, Finding, Suspect, doubles, find, ghosts
from tests.support.builders import (
    RID,
    TAG,
    cancel_order,
    close_order,
    deal,
    ended,
    modify_order,
    open_order,
    pending,
    position,
    scan,
)

_D = Decimal
_OPEN = open_order(strategy=7)
_MAGIC = TAG.mt5_magic(7)
_NOT_YET = Absence(counts=False)
_NOTHING = Absence(counts=True)


def _found(
    body: Request | None = _OPEN, order: int = 0, magic: int = _MAGIC, **records: Any
) -> Finding | Absence:
    suspect = Suspect(rid=RID, tag=TAG, magic=magic, body=body, order=order)
    return find(suspect, scan(**{"orders_kept": True} | records))


def _executed(found: Finding | Absence) -> tuple[Status, Facts]:
    assert isinstance(found, Finding), found
    assert isinstance(found.outcome, Executed), found
    assert found.evidence is Evidence.TAG
    return found.outcome.status, found.outcome.facts


def _end(state: str = "FILLED", **over: Any) -> EndedOrder:
    """Return a market order of ours as the history shows it."""
    lives = {"FILLED": "FILLED", "EXPIRED": "BROKER_EXPIRED"}
    fields: dict[str, Any] = {
        "type": "BUY", "state": state, "volume": _D("0.10"), "magic": _MAGIC,
        "filled": _D("0.10") if state == "FILLED" else _D(0),
    }  # fmt: skip
    return ended(11, lives.get(state, "CANCELLED"), **fields | over)


def _deal(number: int = 1, entry: str = "IN", volume: str = "0.10", **over: Any) -> Any:
    return deal(number, entry, volume=_D(volume), **{"magic": _MAGIC, "reason": "OURS"} | over)


# --- refused later -----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["REJECTED", "CANCELED", "EXPIRED"])
@pytest.mark.parametrize("body", [_OPEN, close_order(11), None], ids=["open", "close", "fenced"])
def test_a_market_order_that_ended_without_a_deal_was_refused(
    state: str, body: Request | None
) -> None:
    magic = _MAGIC if body is not None else 0
    found = _found(body, magic=magic, ended=(_end(state),), positions=(position(11, magic=5),))
    assert isinstance(found, Finding)
    assert found.evidence is Evidence.TAG
    facts = Facts(symbol="EURUSD", ticket=11, order=11)
    assert found.outcome == Rejected(code=ReasonCode.BROKER_REJECTED, facts=facts)


@pytest.mark.parametrize("body", [_OPEN, close_order(11)], ids=["open", "close"])
def test_in_an_incomplete_scan_it_is_not_concluded_for_its_deal_may_be_missing(
    body: Request,
) -> None:
    assert _found(body, ended=(_end("REJECTED"),), complete=False) == _NOT_YET


def test_a_pending_order_that_the_broker_refused_is_refused_and_not_resting() -> None:
    body = open_order("BUY_LIMIT", price="1.09000")
    found = _found(body, ended=(_end("REJECTED", type="BUY_LIMIT"),))
    assert isinstance(found, Finding)
    assert isinstance(found.outcome, Rejected)


@pytest.mark.parametrize("state", ["CANCELED", "EXPIRED"])
def test_a_pending_order_that_ended_otherwise_did_rest(state: str) -> None:
    body = open_order("BUY_LIMIT", price="1.09000")
    status, facts = _executed(_found(body, ended=(_end(state, type="BUY_LIMIT"),)))
    assert (status, facts.ticket) == (Status.WORKING, 11)


def test_a_close_is_never_a_resting_order() -> None:
    one = _end("CANCELED", type="SELL_LIMIT")
    assert _found(close_order(11), ended=(one,), positions=(position(11),)) == _NOTHING


@pytest.mark.parametrize("reason", ["SL", "TP", "STOP_OUT"])
def test_an_order_that_a_stop_placed_is_not_ours_although_it_bears_the_tag(reason: str) -> None:
    stop = _end("REJECTED", reason=reason)
    assert _found(ended=(stop,)) == _NOTHING
    assert doubles(Suspect(rid=RID, tag=TAG, magic=_MAGIC), scan(ended=(stop, _end()))) == ()


# --- half shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [_OPEN, close_order(11)], ids=["open", "close"])
@pytest.mark.parametrize(
    "end", [_end("FILLED"), _end("CANCELED", filled=_D("0.04")), _end("FILLED", filled=_D(0))]
)
def test_an_order_that_filled_and_whose_deals_are_not_shown_is_on_its_way(
    body: Request, end: EndedOrder
) -> None:
    assert _found(body, ended=(end,)) == _NOT_YET


@pytest.mark.parametrize("body", [_OPEN, close_order(11), None], ids=["open", "close", "fenced"])
@pytest.mark.parametrize("type_", ["BUY", "SELL"])
def test_a_market_order_that_is_still_active_is_on_its_way(
    body: Request | None, type_: str
) -> None:
    active = pending(11, type_, magic=_MAGIC)
    magic = _MAGIC if body is not None else 0
    assert _found(body, magic=magic, orders=(active,)) == _NOT_YET
    entry = "OUT" if body is not None and body is not _OPEN else "IN"
    part = _deal(1, entry, "0.04")
    assert _found(body, magic=magic, orders=(active,), deals=(part,)) == _NOT_YET


def test_the_same_order_at_rest_is_working() -> None:
    status, _ = _executed(_found(orders=(pending(11, "SELL_STOP", magic=_MAGIC),)))
    assert status is Status.WORKING


@pytest.mark.parametrize(
    ("volumes", "filled", "wanted"),
    [
        (["0.10"], None, Status.FILLED),  # all that was asked for: no record needed
        (["0.04", "0.06"], None, Status.FILLED),
        (["0.04"], "0.04", Status.PARTIAL),
        (["0.04"], "0.10", None),  # the second deal is not shown yet
        (["0.04"], None, None),  # its end is not shown yet
        (["0.04", "0.05"], "0.09", Status.PARTIAL),
        (["0.06"], "0.04", None),  # nonsense is no proof
    ],
)
@pytest.mark.parametrize("closes", [False, True])
def test_less_than_was_asked_for_is_the_whole_only_if_the_orders_record_says_so(
    volumes: list[str], filled: str | None, wanted: Status | None, *, closes: bool
) -> None:
    entry, body = ("OUT", close_order(11, "0.10")) if closes else ("IN", _OPEN)
    deals = tuple(_deal(n, entry, one) for n, one in enumerate(volumes, 1))
    ends = (_end("CANCELED", filled=_D(filled)),) if filled else ()
    found = _found(body, deals=deals, ended=ends)
    if wanted is None:
        assert found == _NOT_YET
    else:
        status, facts = _executed(found)
        assert (status, facts.volume) == (wanted, sum(_D(one) for one in volumes))


def test_a_fenced_rid_of_unknown_size_needs_the_orders_record_too() -> None:
    assert _found(None, magic=0, deals=(_deal(),)) == _NOT_YET
    status, facts = _executed(_found(None, magic=0, deals=(_deal(),), ended=(_end(),)))
    assert (status, facts.volume) == (Status.FILLED, _D("0.10"))


@pytest.mark.parametrize(("volume", "concluded"), [("0.10", True), ("0.09", False)])
def test_a_position_alone_proves_the_fill_only_at_its_full_size(
    volume: str, *, concluded: bool
) -> None:
    found = _found(positions=(position(magic=_MAGIC, volume=_D(volume)),))
    assert isinstance(found, Finding) == concluded
    assert concluded or found == _NOT_YET


def test_a_deal_that_a_close_cannot_have_made_still_keeps_it_from_being_absent() -> None:
    records: dict[str, Any] = {"deals": (_deal(1, "IN"),), "positions": (position(11),)}
    assert _found(close_order(11), **records) == _NOT_YET
    assert _found(close_order(11), orders_kept=False, **records) == _NOTHING


@pytest.mark.parametrize("reason", ["SL", "TP", "STOP_OUT", "MANUAL", ""])
def test_a_stops_deal_with_the_openers_tag_is_no_word_about_the_opening(reason: str) -> None:
    stop = _deal(2, "OUT", reason=reason)
    assert _found(deals=(stop,)) == _NOTHING
    assert _found(deals=(stop,), netting=True) == _NOTHING


# --- what vanished -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "kept", "counts"),
    [
        ({}, True, False),  # gone, and no deal shows how
        ({}, False, True),
        ({"positions": (position(11),)}, True, True),
        ({"positions": (position(12),)}, True, False),
        ({"deals": (deal(3, "OUT", ticket=11, magic=5),)}, True, True),
        ({"deals": (deal(3, "IN", ticket=11, magic=5),)}, True, False),
        ({"deals": (deal(3, "OUT", ticket=12, magic=5),)}, True, False),
        ({"deals": (deal(3, "OUT_BY", ticket=11, magic=5),)}, True, True),
    ],
)
def test_a_close_is_absent_only_if_the_position_is_there_or_somebody_elses_deal(
    records: dict[str, Any], *, kept: bool, counts: bool
) -> None:
    found = _found(close_order(11), orders_kept=kept, **records)
    assert found == Absence(counts=counts)


_MADE = deal(1, "IN", ticket=10, order=10, magic=5)  # a netting position ...
_TURNED = deal(2, "INOUT", ticket=10, order=11, magic=5)  # ... which got the ticket 11


@pytest.mark.parametrize(
    ("records", "counts"),
    [
        # Closed by somebody else, who left its first ticket behind.
        ({"deals": (_MADE, _TURNED, deal(3, "OUT", ticket=10, magic=5))}, True),
        # Turned once more: all its deals have the ticket that it has now.
        (
            {
                "deals": (
                    deal(1, "IN", ticket=12, order=10, magic=5),
                    deal(2, "INOUT", ticket=12, order=11, magic=5),
                    deal(3, "INOUT", ticket=12, order=12, magic=5),
                ),
                "positions": (position(12),),
            },
            True,
        ),
        # What it was before it was turned says nothing of how it went.
        ({"deals": (_MADE, deal(9, "OUT", ticket=10, magic=5), _TURNED)}, False),
        ({"deals": (_MADE, _TURNED)}, False),
        ({"deals": (_MADE, _TURNED, deal(3, "OUT", ticket=13, magic=5))}, False),
        ({"deals": (_MADE, _TURNED), "positions": (position(11),)}, True),
    ],
)
def test_a_close_of_a_position_that_a_deal_had_turned_is_absent_once_a_later_one_shows(
    records: dict[str, Any], *, counts: bool
) -> None:
    assert _found(close_order(11), netting=True, **records) == Absence(counts=counts)


def test_an_opening_needs_no_such_trace() -> None:
    assert _found() == _NOTHING
    assert _found(None, magic=0) == _NOTHING


@pytest.mark.parametrize(("kept", "counts"), [(True, False), (False, True)])
def test_a_pending_order_that_is_gone_without_a_record_may_have_been_cancelled_by_us(
    *, kept: bool, counts: bool
) -> None:
    assert _found(cancel_order(22), orders_kept=kept) == Absence(counts=counts)


@pytest.mark.parametrize(
    ("one", "done"),
    [
        (ended(22, "CANCELLED", state="CANCELED"), True),
        (ended(22, "CANCELLED", state="REJECTED"), False),
        (ended(22, "FILLED", state="FILLED"), False),
        (ended(22, "BROKER_EXPIRED", state="EXPIRED"), False),
    ],
)
def test_only_a_cancelled_order_proves_a_cancel(one: EndedOrder, *, done: bool) -> None:
    found = _found(cancel_order(22), ended=(ended(21), one))
    assert isinstance(found, Finding) == done
    assert done or found == _NOTHING


# --- netting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["IN", "OUT", "INOUT"])
def test_where_an_account_nets_every_deal_of_an_open_is_its_execution(entry: str) -> None:
    one = _deal(5, entry, type="SELL", profit=_D("3.5"), swap=_D("-0.1"), commission=_D("-0.2"))
    body = open_order("SELL", strategy=7)
    status, facts = _executed(_found(body, netting=True, deals=(one,)))
    assert status is Status.FILLED
    assert (facts.volume, facts.price, facts.deal, facts.type) == (
        _D("0.10"), _D("1.10010"), 5, "SELL",
    )  # fmt: skip
    assert (facts.profit, facts.swap, facts.commission) == (_D("3.5"), _D("-0.1"), _D("-0.2"))


def test_where_it_does_not_an_exit_is_not() -> None:
    assert _found(deals=(_deal(5, "OUT"),)) == _NOT_YET
    assert _found(deals=(_deal(5, "OUT"),), orders_kept=False) == _NOTHING


def test_a_netted_position_with_the_tag_says_nothing_of_the_size_of_the_order() -> None:
    assert _found(netting=True, positions=(position(magic=_MAGIC),)) == _NOT_YET


def test_a_close_that_opened_because_the_position_was_gone_was_executed() -> None:
    one = _deal(5, "IN", type="SELL")
    status, facts = _executed(
        _found(close_order(11, "0.10"), netting=True, deals=(one,), ended=(_end(),))
    )
    assert (status, facts.volume, facts.close_price) == (Status.FILLED, _D("0.10"), _D("1.10010"))


# --- the number that the answer named ------------------------------------------------------------

_BARE: dict[str, Any] = {"magic": 0, "comment": "rewritten"}


@pytest.mark.parametrize(
    "records",
    [
        {"deals": (deal(1, order=77, **_BARE),)},
        {"orders": (pending(77, **_BARE),)},
        {"positions": (position(77, **_BARE),)},
        {"ended": (ended(77, type="BUY_LIMIT", **_BARE),)},
    ],
    ids=["deal", "order", "position", "end"],
)
def test_the_brokers_own_number_finds_what_lost_its_tag(records: dict[str, Any]) -> None:
    assert isinstance(_found(order=77, **records), Finding)
    assert _found(order=78, **records) == _NOTHING
    assert _found(order=0, **records) == _NOTHING


def test_a_deals_own_number_is_not_its_orders() -> None:
    assert _found(order=77, deals=(deal(77, order=5, ticket=77, **_BARE),)) == _NOTHING


# --- doubled -----------------------------------------------------------------------------------


def _doubles(**records: Any) -> tuple[int, ...]:
    return doubles(Suspect(rid=RID, tag=TAG, magic=_MAGIC, body=_OPEN), scan(**records))


@pytest.mark.parametrize(
    ("records", "numbers"),
    [
        ({"deals": (_deal(1, order=7), _deal(2, order=8))}, (7, 8)),
        ({"deals": (_deal(1, order=7),), "orders": (pending(9, magic=_MAGIC),)}, (7, 9)),
        ({"deals": (_deal(1, order=12),), "ended": (_end("REJECTED"),)}, (11, 12)),
        ({"orders": (pending(9, magic=_MAGIC), pending(8, comment=TAG.comment))}, (8, 9)),
        ({"deals": (_deal(1, "OUT", order=8), _deal(2, order=7))}, (7, 8)),
        ({"deals": (_deal(1, order=7), _deal(2, order=7))}, ()),  # one order, two deals
        ({"deals": (_deal(1, order=11),), "ended": (_end(),)}, ()),
        ({"deals": (_deal(1, order=11),), "orders": (pending(11, magic=_MAGIC),)}, ()),
        ({"deals": (_deal(1, order=7), _deal(2, order=8, magic=5))}, ()),
        ({"deals": (_deal(1, order=7), _deal(2, "OUT", order=8, reason="SL"))}, ()),
        ({"deals": (_deal(1, order=7), _deal(2, order=0))}, ()),
        ({"deals": (_deal(1, order=7),), "positions": (position(9, magic=_MAGIC),)}, ()),
        ({}, ()),
    ],
)
def test_two_orders_with_one_tag_are_all_named(
    records: dict[str, Any], numbers: tuple[int, ...]
) -> None:
    assert _doubles(**records) == numbers


# --- whole seconds, and late deals ---------------------------------------------------------------


@pytest.mark.parametrize(("shown_ms", "same"), [(5_000, True), (5_999, True), (6_000, False)])
def test_an_expiration_is_compared_in_whole_seconds(shown_ms: int, *, same: bool) -> None:
    body = modify_order(22, price="1.08000", sl="1.07000", expiration=5_123)
    held = pending(price=_D("1.08"), sl=_D("1.07"), expiration_ms=shown_ms)
    assert isinstance(_found(body, orders=(held,)), Finding) == same


def test_a_late_deal_is_a_ghost_as_well() -> None:
    assert ghosts(frozenset({_MAGIC}), [_deal(3, "OUT", ticket=44), deal(4, ticket=45)]) == (44,)
