"""What a finding says of the order: every field of the broker's record, and of the right one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bridge_core.protocol.codes import Status
from bridge_core.protocol.messages import Request
from bridge_server.core.ports import Executed, Facts
from bridge_server.core.reconcile import Finding, Suspect, find
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
_MAGIC = TAG.mt5_magic(7)
_FOREIGN = {"magic": 5, "comment": "other"}


def _facts(body: Request | None, **records: Any) -> tuple[Status, Facts]:
    found = find(Suspect(rid=RID, tag=TAG, magic=_MAGIC, body=body), scan(**records))
    assert isinstance(found, Finding)
    assert isinstance(found.outcome, Executed)
    return found.outcome.status, found.outcome.facts


def test_a_fill_tells_its_deal_and_the_stops_of_its_own_position() -> None:
    one = deal(
        5, ticket=12, order=13, type="SELL", commission=_D("-0.07"), magic=_MAGIC, time_ms=1_234,
        comment="as the broker shows it",
    )  # fmt: skip
    held = (
        position(11, sl=_D("1.0"), tp=_D("2.0")),
        position(12, "SELL", sl=_D("1.2"), tp=_D("1.05")),
    )
    assert _facts(open_order(), deals=(one,), positions=held) == (
        Status.FILLED,
        Facts(
            symbol="EURUSD", type="SELL", ticket=12, deal=5, order=13, volume=_D("0.10"),
            price=_D("1.10010"), sl=_D("1.2"), tp=_D("1.05"), commission=_D("-0.07"),
            market_ms=1_234, comment="as the broker shows it",
        ),
    )  # fmt: skip


def test_a_fill_whose_position_is_gone_tells_no_stops() -> None:
    _, facts = _facts(open_order(), deals=(deal(magic=_MAGIC),))
    assert (facts.sl, facts.tp) == (_D(0), _D(0))


def test_the_price_of_one_deal_is_its_own_text_and_of_several_their_average() -> None:
    # Eight decimals are what the wire can hold; a single deal's price is passed on as it is.
    exact = _D("1.1000")
    _, facts = _facts(open_order(), deals=(deal(magic=_MAGIC, price=exact),))
    assert str(facts.price) == "1.1000"
    two = (
        deal(1, magic=_MAGIC, volume=_D("0.04"), price=_D("1.1")),
        deal(2, magic=_MAGIC, volume=_D("0.06"), price=_D("1.2")),
    )
    assert str(_facts(open_order(), deals=two)[1].price) == "1.16000000"


def test_an_exit_tells_its_own_deals_and_what_is_left_of_its_own_position() -> None:
    deals = (
        deal(3, "OUT", magic=_MAGIC, ticket=12, volume=_D("0.03"), price=_D("1.1000"),
             profit=_D(1), swap=_D("0.1"), commission=_D("-0.2")),
        deal(4, "OUT", magic=_MAGIC, ticket=12, order=14, type="SELL", volume=_D("0.01"),
             price=_D("1.2000"), profit=_D(2), swap=_D("0.3"), commission=_D("-0.4"), time_ms=99,
             comment="out"),
        deal(5, "OUT", ticket=12, volume=_D(7), profit=_D(1_000), **_FOREIGN),
        deal(6, "IN", ticket=12, volume=_D(8), magic=_MAGIC),
    )  # fmt: skip
    held = (position(11, volume=_D(3)), position(12, volume=_D("0.06")))
    assert _facts(close_order(12, "0.10"), deals=deals, positions=held) == (
        Status.PARTIAL,
        Facts(
            symbol="EURUSD", type="SELL", ticket=12, deal=4, order=14, volume=_D("0.04"),
            close_price=_D("1.12500000"), profit=_D(3), swap=_D("0.4"), commission=_D("-0.6"),
            remaining_volume=_D("0.06"), remaining_ticket=12, market_ms=99, comment="out",
        ),
    )  # fmt: skip


def test_an_exit_of_all_leaves_nothing_and_keeps_the_text_of_its_price() -> None:
    one = deal(4, "OUT", magic=_MAGIC, price=_D("1.1000"))
    status, facts = _facts(close_order(11), deals=(one,), positions=(position(12),))
    assert (status, facts.remaining_ticket) == (Status.FILLED, 0)
    assert not facts.remaining_volume
    assert str(facts.close_price) == "1.1000"


_HELD: dict[str, Any] = {
    "symbol": "GBPUSD", "ticket": 31, "volume": _D("0.20"), "sl": _D("1.01"), "tp": _D("1.5"),
    "magic": _MAGIC, "comment": "kept",
}  # fmt: skip


def test_a_position_that_alone_bears_the_tag_tells_all_of_itself() -> None:
    one = position(type="SELL", open_price=_D("1.3"), opened_ms=77, **_HELD)
    assert _facts(open_order(), positions=(one,)) == (
        Status.FILLED,
        Facts(
            symbol="GBPUSD", type="SELL", ticket=31, volume=_D("0.20"), price=_D("1.3"),
            sl=_D("1.01"), tp=_D("1.5"), market_ms=77, comment="kept",
        ),
    )  # fmt: skip


@pytest.mark.parametrize("modify", [False, True])
def test_an_order_at_the_broker_tells_all_of_itself(*, modify: bool) -> None:
    one = pending(type="SELL_STOP", price=_D("1.2"), placed_ms=78, **_HELD)
    body = modify_order(31, sl="1.01", tp="1.5") if modify else open_order()
    assert _facts(body, orders=(one,)) == (
        Status.DONE if modify else Status.WORKING,
        Facts(
            symbol="GBPUSD", type="SELL_STOP", ticket=31, order=31, volume=_D("0.20"),
            price=_D("1.2"), sl=_D("1.01"), tp=_D("1.5"), market_ms=78, comment="kept",
        ),
    )  # fmt: skip


@pytest.mark.parametrize("cancel", [False, True])
def test_an_order_that_is_no_more_tells_which_it_was(*, cancel: bool) -> None:
    one = ended(22, symbol="GBPUSD", magic=_MAGIC)
    body = cancel_order(22) if cancel else open_order()
    assert _facts(body, ended=(one,)) == (
        Status.DONE if cancel else Status.WORKING,
        Facts(symbol="GBPUSD", ticket=22, order=22),
    )
