"""What every backend must do, written against `ports.Backend` alone.

A backend's tests inherit `BackendContract` and give it the fixture `world`: started, connected,
the first prices taken in, no position of ours. `world.do(body)` executes one signed order,
`world.next_prices()` lets the market move on and returns the events, `world.advance()` lets time
pass. `world.tags_closes` is False where the broker marks no closing (MetaTrader 4), whose record of
it then carries the opener's tag.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.events import EVENT_TYPES
from bridge_server.core.ports import Executed, MarginEstimate, NotBegun, Rejected
from tests.support.paper import World, cancel, close, modify, open_order

__all__ = ["BackendContract"]


class BackendContract:
    """Inherit, and define `world`."""

    @pytest.fixture
    def world(self, tmp_path: Any) -> Iterator[World]:
        pytest.fail("a backend's own tests define `world`")

    def _filled(self, world: World, **over: Any) -> Executed:
        outcome = world.do(open_order(symbol=world.symbol, **over))
        assert isinstance(outcome, Executed), outcome
        assert outcome.status is Status.FILLED
        return outcome

    def _resting(self, world: World) -> Executed:
        quote, spec = _market(world)
        price = str((quote.bid * Decimal("0.9")).quantize(spec.point))
        body = open_order("BUY_LIMIT", symbol=world.symbol, price=price)
        outcome = world.do(body)
        assert isinstance(outcome, Executed), outcome
        assert outcome.status is Status.WORKING
        return outcome

    def test_a_market_order_fills_at_the_quote_and_shows_its_magic_and_comment(
        self, world: World
    ) -> None:
        quote, _ = _market(world)
        submission = world.submission(open_order(symbol=world.symbol))
        outcome = world.backend.execute(submission)
        assert isinstance(outcome, Executed)
        assert outcome.status is Status.FILLED
        assert outcome.facts.price == quote.ask
        assert outcome.facts.volume == Decimal("0.10")
        position = world.backend.snapshot().positions[outcome.facts.ticket]
        assert position.magic == submission.magic
        assert position.comment == submission.comment
        assert position.comment.startswith(submission.tag.comment)
        assert position.open_price == outcome.facts.price

    def test_a_sell_fills_at_the_bid(self, world: World) -> None:
        quote, _ = _market(world)
        assert self._filled(world, type_="SELL").facts.price == quote.bid

    def test_an_order_at_its_deadline_never_begins(self, world: World) -> None:
        submission = world.submission(open_order(symbol=world.symbol), ttl_ms=5000)
        world.advance(5000)
        outcome = world.backend.execute(submission)
        assert isinstance(outcome, NotBegun)
        assert outcome.refusal.code is ReasonCode.EXPIRED
        assert not world.backend.snapshot().positions

    def test_a_wall_clock_set_back_does_not_lengthen_an_orders_life(self, world: World) -> None:
        submission = world.submission(open_order(symbol=world.symbol), ttl_ms=5000)
        world.advance(5000, wall=1000)
        outcome = world.backend.execute(submission)
        assert isinstance(outcome, NotBegun)
        assert outcome.refusal.code is ReasonCode.EXPIRED
        assert not world.backend.snapshot().positions

    def test_a_reference_price_beyond_the_deviation_is_price_moved_and_nothing_begins(
        self, world: World
    ) -> None:
        quote, spec = _market(world)
        far = str(quote.ask + spec.point * 21)
        outcome = world.do(open_order(symbol=world.symbol, price=far, deviation=20))
        assert isinstance(outcome, NotBegun)
        assert outcome.refusal.code is ReasonCode.PRICE_MOVED
        assert not world.backend.snapshot().positions

    def test_a_reference_price_exactly_at_the_deviation_fills(self, world: World) -> None:
        quote, spec = _market(world)
        self._filled(world, price=str(quote.ask + spec.point * 20), deviation=20)

    def test_closing_all_leaves_no_position_and_a_deal_with_the_closers_tag(
        self, world: World
    ) -> None:
        ticket = self._filled(world).facts.ticket
        submission = world.submission(close(ticket, symbol=world.symbol))
        outcome = world.backend.execute(submission)
        assert isinstance(outcome, Executed)
        assert outcome.facts.remaining_volume == 0
        assert ticket not in world.backend.snapshot().positions
        deals = world.backend.scan(0).deals
        # MetaTrader 4 has one number for a trade's opening and its closing.
        closing = next(e for e in deals if e.deal == outcome.facts.deal and e.entry == "OUT")
        assert closing.price == outcome.facts.close_price
        if world.tags_closes:
            assert closing.magic == submission.magic
            assert closing.comment.startswith(submission.tag.comment)

    def test_closing_a_part_leaves_the_rest_under_the_ticket_it_names(self, world: World) -> None:
        ticket = self._filled(world).facts.ticket
        outcome = world.do(close(ticket, "0.04", world.symbol))
        assert isinstance(outcome, Executed)
        facts = outcome.facts
        assert (facts.volume, facts.remaining_volume) == (Decimal("0.04"), Decimal("0.06"))
        rest = world.backend.snapshot().positions[facts.remaining_ticket]
        assert rest.volume == Decimal("0.06")

    def test_closing_more_than_there_is_closes_nothing(self, world: World) -> None:
        ticket = self._filled(world).facts.ticket
        outcome = world.do(close(ticket, "0.11", world.symbol))
        assert isinstance(outcome, Rejected | NotBegun)
        assert world.backend.snapshot().positions[ticket].volume == Decimal("0.10")

    def test_a_ticket_that_is_not_there_is_never_executed(self, world: World) -> None:
        for body in (close(999_999, symbol=world.symbol), cancel(999_999), modify(999_999)):
            assert isinstance(world.do(body), Rejected | NotBegun)

    def test_a_ticket_of_another_symbol_is_not_closed(self, world: World) -> None:
        ticket = self._filled(world).facts.ticket
        assert isinstance(world.do(close(ticket, symbol="XXXYYY")), Rejected | NotBegun)
        assert ticket in world.backend.snapshot().positions

    def test_stops_are_set_and_removed(self, world: World) -> None:
        ticket = self._filled(world).facts.ticket
        quote, spec = _market(world)
        sl = str((quote.bid * Decimal("0.99")).quantize(spec.point))
        assert isinstance(world.do(modify(ticket, sl=sl)), Executed)
        assert world.backend.snapshot().positions[ticket].sl == Decimal(sl)
        assert isinstance(world.do(modify(ticket, old_sl=sl)), Executed)
        assert world.backend.snapshot().positions[ticket].sl == 0

    def test_stops_that_are_no_longer_what_the_strategy_saw_are_left_alone(
        self, world: World
    ) -> None:
        ticket = self._filled(world).facts.ticket
        quote, spec = _market(world)
        sl = str((quote.bid * Decimal("0.99")).quantize(spec.point))
        outcome = world.do(modify(ticket, sl=sl, old_sl="1.00000"))
        assert isinstance(outcome, NotBegun)
        assert outcome.refusal.code is ReasonCode.CHANGED
        assert world.backend.snapshot().positions[ticket].sl == 0

    def test_a_pending_order_rests_and_is_cancelled_with_its_tag_on_record(
        self, world: World
    ) -> None:
        ticket = self._resting(world).facts.ticket
        resting = world.backend.snapshot().orders[ticket]
        assert isinstance(world.do(cancel(ticket)), Executed)
        assert ticket not in world.backend.snapshot().orders
        ended = next(each for each in world.backend.scan(0).ended if each.ticket == ticket)
        assert (ended.life, ended.magic, ended.comment) == (
            "CANCELLED", resting.magic, resting.comment,
        )  # fmt: skip

    def test_check_estimates_and_changes_nothing(self, world: World) -> None:
        before = world.backend.snapshot().account
        found = world.backend.check(open_order(symbol=world.symbol))
        assert isinstance(found, MarginEstimate)
        assert found.margin > 0
        assert world.backend.snapshot().account.margin == before.margin
        assert not world.backend.snapshot().positions

    def test_check_of_more_than_the_account_can_carry_is_a_refusal(self, world: World) -> None:
        body = open_order(volume="100", symbol=world.symbol)
        assert isinstance(world.backend.check(body), Refusal)

    def test_an_order_that_the_account_cannot_carry_is_rejected(self, world: World) -> None:
        outcome = world.do(open_order(volume="100", symbol=world.symbol))
        assert isinstance(outcome, Rejected)
        assert outcome.code is ReasonCode.NO_MONEY
        assert not world.backend.snapshot().positions

    def test_a_scan_is_complete_and_holds_every_record_of_an_order(self, world: World) -> None:
        since = world.clock.wall_ms()
        filled, resting = self._filled(world).facts, self._resting(world).facts
        scan = world.backend.scan(since)
        assert scan.complete
        assert scan.since_wall_ms == since
        assert filled.ticket in {each.ticket for each in scan.positions}
        assert filled.deal in {each.deal for each in scan.deals}
        assert resting.ticket in {each.ticket for each in scan.orders}

    def test_history_is_asked_by_market_time(self, world: World) -> None:
        ticket = self._filled(world).facts.ticket
        world.do(close(ticket, symbol=world.symbol))
        deals = world.backend.scan(0).deals
        closing = next(e for e in deals if e.ticket == ticket and e.entry == "OUT")
        at = closing.time_ms
        assert closing in world.backend.history(0, 0)
        assert closing in world.backend.history(at, at)
        assert closing not in world.backend.history(0, at - 1)

    def test_events_tell_what_orders_did_and_have_known_types(self, world: World) -> None:
        ticket = self._filled(world).facts.ticket
        world.do(close(ticket, symbol=world.symbol))
        events = world.next_prices(2)
        assert {each.type for each in events} <= set(EVENT_TYPES)
        opened = [e for e in events if e.type == "position_opened" and e.ticket == ticket]
        closed = [e for e in events if e.type == "position_closed" and e.ticket == ticket]
        assert len(opened) == len(closed) == 1
        assert closed[0].reason == "OURS"

    def test_equity_is_balance_and_floating_profit(self, world: World) -> None:
        self._filled(world)
        snapshot = world.backend.snapshot()
        floating = sum(each.profit for each in snapshot.positions.values())
        assert snapshot.account.equity == snapshot.account.balance + floating
        assert snapshot.account.free_margin == snapshot.account.equity - snapshot.account.margin

    def test_a_snapshot_held_back_does_not_change(self, world: World) -> None:
        held = world.backend.snapshot()
        self._filled(world)
        assert not held.positions


def _market(world: World) -> tuple[Any, Any]:
    snapshot = world.backend.snapshot()
    return snapshot.quotes[world.symbol], snapshot.symbols[world.symbol]
