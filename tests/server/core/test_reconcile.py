"""What one scan of the broker's records proves about an order whose answer was lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.messages import Flatten, Request
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.tag import make_tag
from bridge_server.core.orders import Evidence
from bridge_server.core.ports import Executed, Facts, NotBegun, Pending, Position
from bridge_server.core.reconcile import Absence, Finding, Suspect, absent, find, ghosts
from bridge_server.views import with_outcome
from tests.support.builders import (
    ACCT,
    NOW,
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

_OPEN = open_order(strategy=7)
_MAGIC = TAG.mt5_magic(7)
_OTHER = make_tag(ACCT, "f" * 32)
# How a broker may show whose order it was.
_MARKS: list[dict[str, Any]] = [
    {"magic": _MAGIC},
    {"magic": _MAGIC, "comment": "rewritten by the broker"},
    {"comment": f"{TAG.comment} Strategy_v1"},
    {"comment": TAG.comment, "magic": 0},
]


def _suspect(body: Request | None = _OPEN, magic: int = _MAGIC) -> Suspect:
    return Suspect(rid=RID, tag=TAG, magic=magic, body=body)


def _found(body: Request | None = _OPEN, magic: int = _MAGIC, **records: Any) -> Finding:
    found = find(_suspect(body, magic), scan(**records))
    assert isinstance(found, Finding), found
    return found


def _facts(found: Finding) -> Facts:
    assert isinstance(found.outcome, Executed)
    return found.outcome.facts


def _status(found: Finding) -> Status:
    assert isinstance(found.outcome, Executed)
    return found.outcome.status


# --- the tag ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", _MARKS, ids=["magic", "magic only", "comment", "comment only"])
def test_a_tagged_deal_proves_the_fill(mark: dict[str, Any]) -> None:
    found = _found(deals=(deal(**mark),))
    assert (_status(found), found.evidence) == (Status.FILLED, Evidence.TAG)
    facts = _facts(found)
    assert (facts.volume, facts.price, facts.ticket, facts.deal) == (
        Decimal("0.10"),
        Decimal("1.10010"),
        11,
        1,
    )


@pytest.mark.parametrize("mark", _MARKS, ids=["magic", "magic only", "comment", "comment only"])
def test_a_tagged_position_proves_the_fill(mark: dict[str, Any]) -> None:
    held = position(sl=Decimal("1.09000"), tp=Decimal("1.20000"), opened_ms=NOW, **mark)
    found = _found(positions=(held,))
    assert (_status(found), found.evidence) == (Status.FILLED, Evidence.TAG)
    facts = _facts(found)
    assert (facts.volume, facts.price, facts.sl) == (
        Decimal("0.10"),
        Decimal("1.09500"),
        Decimal("1.09000"),
    )


@pytest.mark.parametrize("mark", _MARKS, ids=["magic", "magic only", "comment", "comment only"])
def test_a_tagged_pending_order_proves_that_it_rests(mark: dict[str, Any]) -> None:
    found = _found(orders=(pending(**mark),))
    assert (_status(found), found.evidence) == (Status.WORKING, Evidence.TAG)
    assert (_facts(found).ticket, _facts(found).price) == (22, Decimal("1.09000"))


@pytest.mark.parametrize("mark", _MARKS, ids=["magic", "magic only", "comment", "comment only"])
@pytest.mark.parametrize("life", ["CANCELLED", "BROKER_EXPIRED"])
def test_a_tagged_order_that_ended_proves_that_it_rested(mark: dict[str, Any], life: str) -> None:
    found = _found(ended=(ended(22, life, **mark),))
    assert (_status(found), _facts(found).ticket) == (Status.WORKING, 22)


def test_a_pending_order_that_filled_meanwhile_is_found_by_its_deal() -> None:
    body = open_order("BUY_LIMIT", price="1.09000")
    found = _found(body, deals=(deal(magic=_MAGIC),), ended=(ended(22, "FILLED", magic=_MAGIC),))
    assert _status(found) is Status.FILLED


def test_a_pending_order_filled_in_part_that_still_rests_is_working() -> None:
    body = open_order("BUY_LIMIT", price="1.09000")
    part = deal(volume=Decimal("0.04"), magic=_MAGIC)
    found = _found(body, deals=(part,), orders=(pending(magic=_MAGIC),))
    assert _status(found) is Status.WORKING


@pytest.mark.parametrize(
    ("volumes", "status"),
    [(["0.10"], Status.FILLED), (["0.09"], Status.PARTIAL), (["0.04", "0.06"], Status.FILLED),
     (["0.04", "0.05"], Status.PARTIAL)],
)  # fmt: skip
def test_the_true_volume_decides_between_filled_and_partial(
    volumes: list[str], status: Status
) -> None:
    deals = tuple(deal(n, volume=Decimal(v), magic=_MAGIC) for n, v in enumerate(volumes, 1))
    found = _found(deals=deals)
    assert _status(found) is status
    assert _facts(found).volume == sum(Decimal(v) for v in volumes)


def test_a_fill_in_parts_has_the_average_price_and_all_of_the_commission() -> None:
    deals = (
        deal(
            1,
            volume=Decimal("0.02"),
            price=Decimal("1.10"),
            commission=Decimal("-0.10"),
            magic=_MAGIC,
        ),
        deal(
            2,
            volume=Decimal("0.08"),
            price=Decimal("1.20"),
            commission=Decimal("-0.40"),
            magic=_MAGIC,
        ),
    )
    facts = _facts(_found(deals=deals, positions=(position(sl=Decimal("1.05")),)))
    assert (facts.price, facts.commission, facts.deal) == (Decimal("1.18"), Decimal("-0.50"), 2)
    assert facts.sl == Decimal("1.05")


@given(
    st.lists(st.tuples(st.integers(1, 1_000), st.integers(1, 999_999_999)), min_size=1, max_size=5)
)
def test_every_average_can_be_told_on_the_wire(parts: list[tuple[int, int]]) -> None:
    deals = tuple(
        deal(n, volume=Decimal(volume) / 100, price=Decimal(price) / 100_000, magic=_MAGIC)
        for n, (volume, price) in enumerate(parts, 1)
    )
    found = _found(open_order(volume="50.00"), deals=deals)
    view = with_outcome(OrderView(rid=RID), found.outcome, found.evidence, NOW)
    prices = [one.price for one in deals]
    assert min(prices) <= Decimal(view.price) <= max(prices)


@pytest.mark.parametrize(
    "mark",
    [
        {"magic": TAG.mt5_hash}, {"magic": TAG.mt5_magic(8)}, {"magic": _MAGIC + 1},
        {"magic": _OTHER.mt5_magic(7)}, {"comment": _OTHER.comment},
        {"comment": f"x{TAG.comment}"}, {"comment": TAG.comment[:11]}, {"comment": ""},
    ],
    ids=["no strategy", "other strategy", "next magic", "other tag", "other comment",
         "not at its beginning", "cut tag", "nothing"],
)  # fmt: skip
def test_what_carries_another_tag_proves_nothing(mark: dict[str, Any]) -> None:
    records = scan(
        deals=(deal(**mark), deal(2, "OUT", **mark)), positions=(position(**mark),),
        orders=(pending(**mark),), ended=(ended(**mark),),
    )  # fmt: skip
    assert find(_suspect(), records) == Absence(counts=True)


def test_the_exit_of_a_position_does_not_prove_the_entry_of_another_order() -> None:
    # A stop-loss deal may carry the magic of the position's order; the entry itself is not shown.
    assert find(_suspect(), scan(deals=(deal(1, "OUT", magic=_MAGIC),))) == Absence(counts=True)


# --- closes ----------------------------------------------------------------------------------


def test_a_tagged_exit_proves_the_close_with_its_money() -> None:
    out = deal(
        5, "OUT", magic=_MAGIC, price=Decimal("1.10000"), profit=Decimal("5.00"),
        swap=Decimal("-0.10"), commission=Decimal("-0.20"),
    )  # fmt: skip
    found = _found(close_order(11), deals=(out,))
    facts = _facts(found)
    assert (_status(found), found.evidence) == (Status.FILLED, Evidence.TAG)
    assert (facts.close_price, facts.profit, facts.swap) == (
        Decimal("1.10000"),
        Decimal("5.00"),
        Decimal("-0.10"),
    )
    assert (facts.remaining_volume, facts.remaining_ticket) == (Decimal(0), 0)


@pytest.mark.parametrize(
    ("wanted", "done", "left", "status"),
    [
        ("0", "0.10", None, Status.FILLED),
        ("0", "0.06", "0.04", Status.PARTIAL),
        ("0.06", "0.06", "0.04", Status.FILLED),
        ("0.06", "0.05", "0.05", Status.PARTIAL),
    ],
    ids=["all", "all, part left", "part", "less than the part"],
)
def test_the_true_volume_of_a_close_is_told_with_what_is_left(
    wanted: str, done: str, left: str | None, status: Status
) -> None:
    held = (position(volume=Decimal(left)),) if left else ()
    out = deal(5, "OUT", volume=Decimal(done), magic=_MAGIC)
    found = _found(close_order(11, wanted), deals=(out,), positions=held)
    assert _status(found) is status
    assert _facts(found).volume == Decimal(done)
    assert _facts(found).remaining_volume == Decimal(left or 0)


def test_a_close_in_parts_adds_up() -> None:
    deals = (
        deal(
            5, "OUT", volume=Decimal("0.03"), price=Decimal("1.10"), profit=Decimal(1), magic=_MAGIC
        ),
        deal(
            6, "OUT", volume=Decimal("0.07"), price=Decimal("1.20"), profit=Decimal(2), magic=_MAGIC
        ),
    )
    facts = _facts(_found(close_order(11), deals=deals))
    assert (facts.volume, facts.profit, facts.close_price) == (
        Decimal("0.10"),
        Decimal(3),
        Decimal("1.17"),
    )


def test_an_entry_with_a_closes_tag_does_not_prove_the_close() -> None:
    records = scan(deals=(deal(magic=_MAGIC),), positions=(position(magic=_MAGIC),))
    assert find(_suspect(close_order(11)), records) == Absence(counts=True)


def test_a_close_that_is_still_at_the_broker_is_not_absent() -> None:
    records = scan(orders=(pending(magic=_MAGIC),))
    assert find(_suspect(close_order(11)), records) == Absence(counts=False)


# --- fenced rids that this journal never held ------------------------------------------------


@pytest.mark.parametrize("strategy", [0, 1, 4095])
def test_a_fenced_rid_is_found_whatever_its_strategy_was(strategy: int) -> None:
    found = _found(None, 0, positions=(position(magic=TAG.mt5_magic(strategy)),))
    assert _status(found) is Status.FILLED


def test_a_fenced_rid_that_was_a_close_is_found_by_its_exit() -> None:
    found = _found(None, 0, deals=(deal(1, "OUT", magic=TAG.mt5_hash),))
    assert _status(found) is Status.FILLED
    assert _facts(found).close_price == Decimal("1.10010")


def test_a_fenced_rid_of_unknown_size_is_filled_with_the_volume_shown() -> None:
    found = _found(None, 0, deals=(deal(volume=Decimal("0.03"), magic=TAG.mt5_hash),))
    assert (_status(found), _facts(found).volume) == (Status.FILLED, Decimal("0.03"))


def test_an_order_without_any_magic_is_not_a_fenced_rids() -> None:
    assert find(_suspect(None, 0), scan(positions=(position(),))) == Absence(counts=True)


# --- shapes: what leaves no tag --------------------------------------------------------------

_MODIFY = modify_order(11, sl="1.09000", tp="1.20000")


def test_a_modify_is_found_by_the_levels_it_wanted_and_is_weak_evidence() -> None:
    held = position(sl=Decimal("1.09"), tp=Decimal("1.2"))
    found = _found(_MODIFY, positions=(held,))
    assert (_status(found), found.evidence) == (Status.DONE, Evidence.SHAPE)


@pytest.mark.parametrize(("sl", "tp"), [("0", "0"), ("1.09001", "1.2"), ("1.09", "0")])
def test_only_levels_as_they_were_prove_that_no_modify_happened(sl: str, tp: str) -> None:
    held = position(sl=Decimal(sl), tp=Decimal(tp))
    assert find(_suspect(_MODIFY), scan(positions=(held,))) == Absence(counts=sl == "0")


def test_another_tickets_levels_do_not_prove_a_modify() -> None:
    held = position(12, sl=Decimal("1.09"), tp=Decimal("1.2"))
    assert isinstance(find(_suspect(_MODIFY), scan(positions=(held,))), Absence)


def test_a_modify_whose_ticket_is_gone_is_never_concluded_absent_for_it_may_have_run() -> None:
    assert find(_suspect(_MODIFY), scan(complete=True)) == Absence(counts=False)


@pytest.mark.parametrize(
    ("price", "expiration", "proves"),
    [("1.08", NOW, True), ("1.08", 0, False), ("1.09", NOW, False)],
    ids=["as signed", "other expiration", "other price"],
)
def test_a_pending_orders_modify_is_found_by_price_expiration_and_stops(
    price: str, expiration: int, *, proves: bool
) -> None:
    body = modify_order(22, price="1.08000", sl="1.07000", expiration=NOW)
    held = pending(price=Decimal(price), sl=Decimal("1.07"), expiration_ms=expiration)
    found = find(_suspect(body), scan(orders=(held,)))
    assert isinstance(found, Finding) == proves
    if isinstance(found, Finding):
        assert (_status(found), _facts(found).price) == (Status.DONE, Decimal("1.08"))


def test_a_modify_of_a_pending_orders_stops_minds_neither_price_nor_expiration() -> None:
    held = pending(sl=Decimal("1.07"), expiration_ms=NOW)
    found = _found(modify_order(22, sl="1.07000"), orders=(held,))
    assert _status(found) is Status.DONE


def test_a_cancel_is_found_by_the_orders_end() -> None:
    found = _found(cancel_order(22), ended=(ended(22, "CANCELLED"),))
    assert (_status(found), found.evidence) == (Status.DONE, Evidence.SHAPE)
    assert (_facts(found).ticket, _facts(found).symbol) == (22, "EURUSD")


@pytest.mark.parametrize(
    "records",
    [
        {"orders": (pending(22),)},
        {"orders": (pending(22),), "ended": (ended(22),)},
        {"ended": (ended(22, "FILLED"),)},
        {"ended": (ended(22, "BROKER_EXPIRED"),)},
        {"ended": (ended(23, "CANCELLED"),)},
        {},
    ],
    ids=["rests", "rests again", "filled", "expired", "another", "nothing"],
)
def test_what_was_not_cancelled_does_not_prove_a_cancel(records: dict[str, Any]) -> None:
    assert find(_suspect(cancel_order(22)), scan(**records)) == Absence(counts=True)


# --- absence ---------------------------------------------------------------------------------

_FLATTEN = Flatten(client_order_id="f-1", client="atlas", scope="ALL", symbol="", reason="")
_BODIES: list[Request | None] = [
    _OPEN, close_order(), _MODIFY, cancel_order(), None, _FLATTEN,
]  # fmt: skip


@pytest.mark.parametrize("body", _BODIES, ids=lambda body: type(body).__name__)
@pytest.mark.parametrize("complete", [True, False])
def test_absence_counts_only_if_the_scan_was_complete(
    body: Request | None, *, complete: bool
) -> None:
    found = find(_suspect(body), scan(complete=complete, positions=(position(),)))
    assert found == Absence(counts=complete)


def test_an_incomplete_scan_still_proves_what_it_shows() -> None:
    found = _found(positions=(position(magic=_MAGIC),), complete=False)
    assert _status(found) is Status.FILLED


def test_a_concluded_absence_is_denied_and_says_how_it_is_known() -> None:
    found = absent()
    assert found.outcome == NotBegun(refusal=Refusal(ReasonCode.ABSENT))
    assert found.evidence is Evidence.ABSENT


# --- ghosts ----------------------------------------------------------------------------------


def test_a_tag_that_turns_up_after_its_absence_is_a_ghost() -> None:
    seen: list[Position | Pending] = [
        position(1, magic=_MAGIC),
        position(2, magic=5),
        pending(3, magic=_MAGIC),
    ]
    assert ghosts(frozenset({_MAGIC}), seen) == (1, 3)


def test_nothing_concluded_absent_nothing_haunts() -> None:
    assert ghosts(frozenset(), [position(magic=_MAGIC)]) == ()
