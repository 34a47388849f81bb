"""The broker's clock is not UTC: what is signed as UTC reaches the broker as that very moment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from bridge_core.host.ledger import SignedOrder, judge
from bridge_core.protocol.operations import Op
from tests.mql4.judged import paper_lines
from tests.mql4.needs import needs_compiler
from tests.mql4.terms import BrokerTerms
from tests.mql4.trade_desk import ACCT, PAST_FENCE_MS, TradeDesk, an_open, modify

pytestmark = needs_compiler

HOUR_MS: Final = 3_600_000
ZONES: Final = (2, 3, -5, 0, 5.5)


def _limit(expiration: int) -> dict[str, str | int]:
    return {"type": "BUY_LIMIT", "price": "1.08000", "expiration": expiration}


def _quote(desk: TradeDesk, ms: int) -> None:
    """One quote after so much time."""
    desk.advance(ms)
    desk.terminal.command("price", "EURUSD", *desk.price)
    desk.ask("state")


@pytest.mark.parametrize("hours", ZONES)
def test_an_order_lives_until_the_signed_moment_and_not_a_second_longer(
    tmp_path: Path, hours: float
) -> None:
    terms = BrokerTerms(zone_hours=hours)
    with TradeDesk(tmp_path, terms=terms) as desk:
        until = desk.now_ms() // 1000 * 1000 + 4 * HOUR_MS
        word = desk.order(Op.OPEN, an_open(**_limit(until)))
        assert word["status"] == "WORKING", word
        assert abs(word["market_ms"] - desk.now_ms()) < 60_000
        (row,) = desk.terminal.orders()
        assert row["expiration_s"] * 1000 == until + terms.zone_ms
        _quote(desk, until - desk.now_ms() - 20_000)
        assert [one["ticket"] for one in desk.terminal.orders()] == [word["ticket"]]
        _quote(desk, until - desk.now_ms() + 1_000)
        assert desk.terminal.orders() == []
        signed = {
            rid: SignedOrder(op, at, 5_000, body) for rid, (op, body, at) in desk.signed.items()
        }
        lines = paper_lines(desk.terminal.ledger(), signed, ACCT, terms)
        assert judge(lines, signed, ACCT).promises["S3"].kept
        wrong = paper_lines(desk.terminal.ledger(), signed, ACCT, BrokerTerms(zone_hours=hours + 1))
        assert not judge(wrong, signed, ACCT).promises["S3"].kept


@pytest.mark.parametrize("hours", ZONES)
def test_a_moved_order_ends_at_its_new_moment_and_is_proven_by_it(
    tmp_path: Path, hours: float
) -> None:
    with TradeDesk(tmp_path, terms=BrokerTerms(zone_hours=hours)) as desk:
        soon = desk.now_ms() // 1000 * 1000 + HOUR_MS
        ticket = desk.opened(**_limit(soon))["ticket"]
        moved = modify(ticket, price="1.07900", expiration=soon + 1000)
        word = desk.order(Op.MODIFY, moved)
        assert (word["status"], word["price"]) == ("DONE", "1.07900")
        (row,) = desk.terminal.orders()
        assert row["expiration_s"] * 1000 == soon + 1000 + desk.terminal.terms.zone_ms
        past = modify(ticket, price="1.07800", expiration=desk.now_ms() // 1000 * 1000 - 60_000)
        refused = desk.order(Op.MODIFY, past)
        assert (refused["status"], refused["code"]) == ("DENIED", "EXPIRATION")
        assert abs(int(refused["limit"]) - desk.now_ms()) < 60_000


def _unmeasured(folder: Path, hours: float = 2) -> TradeDesk:
    return TradeDesk(folder, terms=BrokerTerms(zone_hours=hours), quotes=False)


def test_before_the_zone_is_known_no_moment_is_guessed(tmp_path: Path) -> None:
    with _unmeasured(tmp_path) as desk:
        until = desk.now_ms() // 1000 * 1000 + 8 * HOUR_MS
        word = desk.order(Op.OPEN, an_open(**_limit(until)))
        assert (word["status"], word["code"], desk.calls()) == ("DENIED", "NO_QUOTE", 0)
        assert "zone" in word["limit"]
        ticket = desk.opened(**_limit(0))["ticket"]
        moved = desk.order(Op.MODIFY, modify(ticket, price="1.07900", expiration=until))
        assert (moved["status"], moved["code"]) == ("DENIED", "NO_QUOTE")
        # What names no moment is not held up: protection least of all.
        safe = desk.order(Op.MODIFY, modify(ticket, sl="1.07000", expiration=until))
        assert safe["status"] == "DONE"


def test_one_quote_alone_may_be_an_old_one(tmp_path: Path) -> None:
    with _unmeasured(tmp_path) as desk:
        until = desk.now_ms() // 1000 * 1000 + 8 * HOUR_MS
        _quote(desk, 0)
        assert desk.order(Op.OPEN, an_open(**_limit(until)))["code"] == "NO_QUOTE"
        _quote(desk, 1_100)
        assert desk.order(Op.OPEN, an_open(**_limit(until)))["status"] == "WORKING"


def test_a_restart_without_quotes_knows_the_zone(tmp_path: Path) -> None:
    with TradeDesk(tmp_path, terms=BrokerTerms(zone_hours=-5)) as desk:
        desk.die()
        until = desk.now_ms() // 1000 * 1000 + HOUR_MS
        word = desk.order(Op.OPEN, an_open(**_limit(until)))
        assert word["status"] == "WORKING"
        (row,) = desk.terminal.orders()
        assert row["expiration_s"] * 1000 == until - 5 * HOUR_MS


def test_the_broker_sets_its_clock_and_two_quotes_show_it(tmp_path: Path) -> None:
    with TradeDesk(tmp_path, terms=BrokerTerms(zone_hours=2)) as desk:
        for seconds, hours in (10_800, 3), (7_200, 2):
            desk.terminal.command("zone", seconds)
            _quote(desk, 1_100)
            assert not [one for one in desk.alerts() if " ZONE " in one]
            _quote(desk, 1_100)
            (said,) = [one for one in desk.alerts() if " ZONE " in one]
            assert f"to UTC+0{hours}:00" in said
            _quote(desk, 1_100)
            assert desk.alerts() == []
            until = desk.now_ms() // 1000 * 1000 + HOUR_MS
            ticket = desk.opened(**_limit(until))["ticket"]
            row = next(one for one in desk.terminal.orders() if one["ticket"] == ticket)
            assert row["expiration_s"] * 1000 == until + hours * HOUR_MS


def test_a_quote_that_was_long_under_way_changes_nothing(tmp_path: Path) -> None:
    with TradeDesk(tmp_path, terms=BrokerTerms(zone_hours=2)) as desk:
        desk.terminal.command("zone", 3_600)  # as a quote of an hour ago
        _quote(desk, 1_100)
        desk.terminal.command("zone", 7_200)
        _quote(desk, 1_100)
        desk.terminal.command("zone", 3_600)
        _quote(desk, 1_100)
        desk.terminal.command("zone", 7_200)
        desk.advance(PAST_FENCE_MS)
        until = desk.now_ms() // 1000 * 1000 + HOUR_MS
        desk.opened(**_limit(until))
        (row,) = desk.terminal.orders()
        assert row["expiration_s"] * 1000 == until + 2 * HOUR_MS
        assert not [one for one in desk.alerts() if " ZONE " in one]


def test_the_step_of_the_pcs_clock_is_not_taken_for_a_zone(tmp_path: Path) -> None:
    with TradeDesk(tmp_path, terms=BrokerTerms(zone_hours=2)) as desk:
        desk.terminal.command("step_wall", -HOUR_MS)
        for _ in range(3):
            desk.turn()
            _quote(desk, 1_100)
        assert not [one for one in desk.alerts() if " ZONE " in one]
