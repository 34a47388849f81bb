"""The paper market: gaps, paths, triggers, stop-out, and what no sequence of acts can break."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bridge_server.backends.paper_book import Book, Turn
from bridge_server.backends.paper_market import Step, apply_step
from bridge_server.backends.paper_money import Money, Price
from bridge_server.backends.paper_orders import Label, cancel, close, modify, open_order
from bridge_server.backends.paper_settings import PaperSettings, make_specs
from bridge_server.core.ports import Executed, Position
from tests.support import paper

D = Decimal
_SPECS = make_specs(PaperSettings(), ("EURUSD",))
_MONEY = Money("USD", 100, _SPECS)
_LABEL = Label(7, "ZTAGTAGTAGTA note", "paper: a test")
POINT = D("0.00001")


class Market:
    """Drives turns by hand: each act is adopted at once."""

    def __init__(self, *, balance: int = 10_000, spread: str = "0") -> None:
        self.book = Book(balance=D(balance))
        self.spread = D(spread)
        self.deals: list[Any] = []
        self.events: list[Any] = []
        self.ended: list[Any] = []

    def turn(self) -> Turn:
        return Turn(_MONEY, self.book)

    def adopt(self, turn: Turn) -> None:
        self.book = turn.book
        self.deals += turn.deals
        self.events += turn.events
        self.ended += turn.ended

    def step(self, *bids: str | Decimal) -> None:
        turn = self.turn()
        time_ms = self.book.market_ms + 60_000
        apply_step(turn, Step("EURUSD", time_ms, tuple(D(b) for b in bids), self.spread))
        self.adopt(turn)

    def open(self, kind: str = "BUY", volume: str = "0.10", **over: str | int) -> Any:
        turn = self.turn()
        outcome = open_order(turn, paper.open_order(kind, volume, **over), _LABEL)
        if isinstance(outcome, Executed):
            self.adopt(turn)
        return outcome

    def exits(self) -> list[tuple[str, Decimal]]:
        return [(deal.reason, deal.price) for deal in self.deals if deal.entry == "OUT"]


def _long(sl: str = "0", tp: str = "0", spread: str = "0") -> Market:
    market = Market(spread=spread)
    market.step("1.10000")
    assert isinstance(market.open(sl=sl, tp=tp), Executed)
    return market


# --- gaps and paths ------------------------------------------------------------------------


def test_a_stop_loss_that_the_market_jumped_over_fills_at_the_gap_price() -> None:
    market = _long(sl="1.09000")
    market.step("1.08000", "1.07000")
    assert market.exits() == [("SL", D("1.08000"))]
    assert market.book.balance == D("9800.00")


def test_a_take_profit_that_the_market_jumped_over_fills_at_the_better_gap_price() -> None:
    market = _long(tp="1.11000")
    market.step("1.12000")
    assert market.exits() == [("TP", D("1.12000"))]


def test_within_a_bar_a_stop_fills_exactly_at_its_price() -> None:
    market = _long(sl="1.09000")
    market.step("1.10000", "1.08000", "1.10500")
    assert market.exits() == [("SL", D("1.09000"))]


def test_a_bar_that_holds_both_stops_is_decided_by_its_path() -> None:
    first_down, first_up = _long("1.09000", "1.11000"), _long("1.09000", "1.11000")
    first_down.step("1.10000", "1.08000", "1.12000")
    first_up.step("1.10000", "1.12000", "1.08000")
    assert first_down.exits() == [("SL", D("1.09000"))]
    assert first_up.exits() == [("TP", D("1.11000"))]


def test_a_price_one_point_short_of_a_stop_leaves_it() -> None:
    market = _long(sl="1.09000", tp="1.11000")
    market.step("1.10000", "1.09001", "1.10999")
    assert market.exits() == []
    market.step("1.09000")
    assert market.exits() == [("SL", D("1.09000"))]


def test_a_sells_stops_are_reached_by_the_ask() -> None:
    market = Market(spread="0.00020")
    market.step("1.10000")
    market.open("SELL", sl="1.10100", tp="1.09900")
    market.step("1.10000", "1.10079", "1.09881")  # ask 1.10099 and 1.09901
    assert market.exits() == []
    market.step("1.09900", "1.09880")
    assert market.exits() == [("TP", D("1.09900"))]


def test_pending_orders_fill_at_their_price_on_the_way_and_at_the_gap_price_beyond_it() -> None:
    market = Market(spread="0.00010")
    market.step("1.10000")
    cases = {"BUY_STOP": "1.10200", "SELL_LIMIT": "1.10300"}
    tickets = {kind: market.open(kind, price=at).facts.ticket for kind, at in cases.items()}
    market.step("1.10100", "1.10400")
    positions = market.book.positions
    assert positions[tickets["BUY_STOP"]].open_price == D("1.10200")
    assert positions[tickets["SELL_LIMIT"]].open_price == D("1.10300")
    gap = {"BUY_LIMIT": "1.10300", "SELL_STOP": "1.10200"}
    tickets = {kind: market.open(kind, price=at).facts.ticket for kind, at in gap.items()}
    market.step("1.09000")
    assert market.book.positions[tickets["BUY_LIMIT"]].open_price == D("1.09010")
    assert market.book.positions[tickets["SELL_STOP"]].open_price == D("1.09000")
    assert [each.life for each in market.ended] == ["FILLED"] * 4
    assert not market.book.orders


def test_a_filled_pending_order_keeps_its_ticket_magic_comment_and_stops() -> None:
    market = Market()
    market.step("1.10000")
    ticket = market.open("BUY_LIMIT", price="1.09000", sl="1.08000", tp="1.12000").facts.ticket
    market.step("1.09500", "1.08500")
    position = market.book.positions[ticket]
    assert (position.magic, position.comment) == (7, _LABEL.comment)
    assert (position.sl, position.tp) == (D("1.08000"), D("1.12000"))
    opened = [e for e in market.events if e.type == "position_opened"]
    assert [(e.order, e.ticket) for e in opened] == [(ticket, ticket)]


def test_an_order_that_fills_inside_a_bar_meets_its_own_stop_later_in_the_same_bar() -> None:
    market = Market()
    market.step("1.10000")
    market.open("BUY_STOP", price="1.10500", sl="1.10400", tp="1.10800")
    market.step("1.10000", "1.10600", "1.10300")
    assert market.exits() == [("SL", D("1.10400"))]


def test_an_order_that_gaps_in_beyond_its_own_target_leaves_at_once_at_the_market() -> None:
    market = Market(spread="0.00010")
    market.step("1.10000")
    market.open("BUY_STOP", price="1.10500", tp="1.10800")
    market.step("1.11000")
    assert market.exits() == [("TP", D("1.11000"))]
    assert market.book.balance == D("9999.00")  # bought at the ask, sold at the bid


def test_an_order_expires_before_the_row_that_would_have_filled_it() -> None:
    market = Market()
    market.step("1.10000")
    market.open("BUY_LIMIT", price="1.09000", expiration=market.book.market_ms + 60_000)
    market.step("1.08000")
    assert [each.life for each in market.ended] == ["BROKER_EXPIRED"]
    assert not market.book.positions


def test_an_order_that_cannot_be_carried_when_it_triggers_is_cancelled_for_no_money() -> None:
    market = Market(balance=100)
    market.step("1.10000")
    market.open("BUY_LIMIT", volume="1", price="1.09000")
    market.step("1.08000")
    assert [each.life for each in market.ended] == ["CANCELLED"]
    cancelled = [e for e in market.events if e.type == "order_cancelled"]
    assert [e.code for e in cancelled] == ["NO_MONEY"]


def test_stop_out_closes_the_worst_position_first_and_stops_when_it_is_enough() -> None:
    market = Market(balance=2500)
    market.step("1.10000")
    worst = market.open("BUY", "1").facts.ticket
    market.step("1.09500")
    kept = market.open("BUY", "0.50").facts.ticket
    market.step("1.08600")  # 1400 + 450 lost, margin 1647.50: 39 %
    reasons = [(d.ticket, d.reason) for d in market.deals if d.entry == "OUT"]
    assert reasons == [(worst, "STOP_OUT")]
    assert set(market.book.positions) == {kept}


def test_market_time_never_goes_back() -> None:
    market = Market()
    market.step("1.10000")
    market.book.market_ms += 10_000_000
    turn = market.turn()
    with pytest.raises(ValueError, match="back"):
        apply_step(turn, Step("EURUSD", 1, (D("1.1"),), D(0)))


def test_an_act_that_is_dropped_never_happened() -> None:
    market = _long()
    before = market.book.copy()
    turn = market.turn()
    close(turn, paper.close(1), _LABEL)
    apply_step(turn, Step("EURUSD", 10_000_000, (D("1.5"),), D(0)))
    assert market.book == before
    assert turn.book != before


# --- what no sequence of acts can break ----------------------------------------------------

_offset = st.integers(-400, 400).map(lambda n: n * POINT)
_acts = st.one_of(
    st.tuples(st.just("step"), st.lists(_offset, min_size=1, max_size=4)),
    st.tuples(
        st.just("open"),
        st.tuples(
            st.sampled_from([
                "BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP",
            ]),
            st.integers(0, 3000), _offset, _offset, _offset,
        ),
    ),
    st.tuples(st.just("close"), st.tuples(st.integers(0, 5), st.integers(0, 500))),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("modify"), st.tuples(st.integers(0, 5), _offset, _offset)),
)  # fmt: skip


def _run(acts: list[Any], spread: int) -> Market:
    market = Market(balance=3000, spread=str(spread * POINT))
    market.step("1.10000")
    for name, args in acts:
        bid = market.book.quotes["EURUSD"].bid
        turn = market.turn()
        outcome: Any = None
        positions, orders = list(market.book.positions), list(market.book.orders)
        if name == "step":
            market.step(*[max(POINT, bid + move) for move in args])
        elif name == "open":
            kind, lots, price, sl, tp = args
            body = paper.open_order(
                kind, str(lots * D("0.01")), symbol="EURUSD", price=str(bid + price),
                sl=str(bid + sl) if sl else "0", tp=str(bid + tp) if tp else "0",
            )  # fmt: skip
            outcome = open_order(turn, body, _LABEL)
        elif name == "close" and positions:
            ticket = positions[args[0] % len(positions)]
            outcome = close(turn, paper.close(ticket, str(args[1] * D("0.01"))), _LABEL)
        elif name == "cancel" and orders:
            outcome = cancel(turn, paper.cancel(orders[args % len(orders)]), _LABEL)
        elif name == "modify" and positions + orders:
            tickets = positions + orders
            changed = paper.modify(
                tickets[args[0] % len(tickets)], sl=str(bid + args[1]), tp=str(bid + args[2])
            )
            outcome = modify(turn, changed, _LABEL)
        if isinstance(outcome, Executed):
            market.adopt(turn)
        _invariants(market)
    return market


def _reached(market: Market, position: Position) -> bool:
    price = market.turn().closing_price(position)
    sign = 1 if position.type == "BUY" else -1
    hit_sl = bool(position.sl) and (price - position.sl) * sign <= 0
    return hit_sl or (bool(position.tp) and (price - position.tp) * sign >= 0)


def _invariants(market: Market) -> None:
    book, account = market.book, market.turn().account()
    assert book.balance == 3000 + sum(d.profit for d in market.deals)
    floating = sum((market.turn().floating(p) for p in book.positions.values()), D(0))
    assert account.equity == book.balance + floating
    assert account.free_margin == account.equity - account.margin
    assert book.balance.as_tuple().exponent in (0, -2)
    for position in book.positions.values():
        assert position.volume > 0
        assert not position.volume % D("0.01")
        assert not _reached(market, position)
    if book.positions:
        assert account.equity * 2 >= account.margin
    assert not set(book.positions) & set(book.orders)
    volume: dict[int, Decimal] = {}
    for deal in market.deals:
        sign = 1 if deal.entry == "IN" else -1
        volume[deal.ticket] = volume.get(deal.ticket, D(0)) + sign * deal.volume
        assert volume[deal.ticket] >= 0
    assert {t: v for t, v in volume.items() if v} == {
        p.ticket: p.volume for p in book.positions.values()
    }
    numbers = [deal.deal for deal in market.deals]
    assert numbers == sorted(set(numbers))


@given(st.lists(_acts, max_size=25), st.integers(0, 30))
def test_the_books_always_balance_and_no_reached_stop_is_ever_left_standing(
    acts: list[Any], spread: int
) -> None:
    _run(acts, spread)


@given(st.lists(_acts, max_size=15), st.integers(0, 30))
def test_the_same_acts_twice_are_the_same_deals_and_events(acts: list[Any], spread: int) -> None:
    first, second = _run(acts, spread), _run(acts, spread)
    assert first.book == second.book
    assert first.deals == second.deals
    assert first.events == second.events


def test_a_position_is_valued_anew_when_it_or_a_price_that_it_hangs_on_changes() -> None:
    specs = make_specs(PaperSettings(), ("EURJPY", "USDJPY"))
    kept = Money("USD", 100, specs)
    position = Position(
        ticket=1, symbol="EURJPY", type="BUY", volume=D("0.10"), open_price=D("160.000"),
        current_price=D("160.000"), sl=D(0), tp=D(0), magic=0, comment="", opened_ms=0,
    )  # fmt: skip
    quotes = {"EURJPY": Price(D("161"), D("161.1"), 1), "USDJPY": Price(D("150"), D("150.1"), 1)}
    told = set()
    for now in (
        (position, quotes),
        (position, quotes | {"USDJPY": Price(D("100"), D("100.1"), 2)}),  # it converts the profit
        (position, quotes | {"EURJPY": Price(D("162"), D("162.1"), 2)}),
        (structs.replace(position, volume=D("0.20")), quotes),
        (structs.replace(position, type="SELL"), quotes),
    ):
        found, anew = kept.worth(*now), Money("USD", 100, specs).worth(*now)
        assert (found.shown, found.margin) == (anew.shown, anew.margin)
        assert kept.worth(*now) is found
        told.add((found.shown.profit, found.margin))
    assert len(told) == 5
