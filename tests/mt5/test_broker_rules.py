"""Every code of a trade server has a rule that gives it, or is planned; nothing is done then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.mt5.asking import EVER, NOON, broker_of, buy, limit, sell
from tests.support.fake_metatrader5.broker import Broker, Session
from tests.support.fake_metatrader5.codes import Ret

Request = dict[str, Any]
_NOW_S = NOON // 1000 + 7200


class Rule(NamedTuple):
    """Why a request is refused: the code, the terms, what happened before, what is asked."""

    code: Ret
    why: str
    ask: Callable[[Broker], Request]
    symbol: dict[str, Any] = {}
    terms: dict[str, Any] = {}
    checked: bool = True  # order_check says the same

    def __str__(self) -> str:
        return f"{self.code.name}: {self.why}"


def _always(request: Request) -> Callable[[Broker], Request]:
    return lambda _: request


def _after_buying(make: Callable[[int], Request], **first: Any) -> Callable[[Broker], Request]:
    return lambda broker: make(int(broker.send(buy(**first))["order"]))


def _after_placing(make: Callable[[int], Request]) -> Callable[[Broker], Request]:
    return lambda broker: make(int(broker.send(limit())["order"]))


def _closed(broker: Broker) -> Request:
    ticket = broker.send(buy())["order"]
    broker.manual_close(int(ticket))
    return sell(position=ticket)


def _fifo(broker: Broker) -> Request:
    broker.send(buy())
    return sell(position=broker.send(buy())["order"])


def _locked(broker: Broker) -> Request:
    ticket = int(broker.send(buy())["order"])
    broker.lock_ticket(ticket)
    return sell(position=ticket)


def _closing_already(broker: Broker) -> Request:
    ticket = broker.send(buy())["order"]
    broker.place_next("fill", after_ms=None)
    assert broker.send(sell(position=ticket))["retcode"] == Ret.PLACED
    return sell(position=ticket)


def _too_many(broker: Broker) -> Request:
    broker.terms.rate_requests = 3
    for _ in range(3):
        broker.send(buy(volume=0.01))
    return buy(volume=0.01)


def _shut(broker: Broker) -> Request:
    broker.close_market("EURUSD")
    return buy()


def _unwatched(broker: Broker) -> Request:
    assert broker.select("EURUSD", on=False)
    return buy()


def _cut(broker: Broker) -> Request:
    broker.link(False)
    return buy()


def _moved(broker: Broker) -> Request:
    broker.price("EURUSD", "1.10020", "1.10030")
    return buy(deviation=10)


def _near(broker: Broker) -> Request:
    ticket = broker.send(buy(tp=1.101))["order"]
    broker.price("EURUSD", "1.10095", "1.10105")
    return {"action": 6, "symbol": "EURUSD", "position": ticket, "sl": 1.09, "tp": 1.102}


def _stops(**stops: float) -> Callable[[Broker], Request]:
    return _after_buying(lambda t: {"action": 6, "symbol": "EURUSD", "position": t, **stops})


def _modify(**fields: Any) -> Callable[[Broker], Request]:
    return _after_placing(lambda t: {"action": 7, "order": t, "price": 1.09, **fields})


INSTANT = {"exemode": 1}
RULES = [
    Rule(Ret.REQUOTE, "instant execution, price moved too far", _moved, INSTANT, checked=False),
    Rule(Ret.PRICE_CHANGED, "request execution", _moved, {"exemode": 0}, checked=False),
    Rule(Ret.INVALID, "no action", _always(buy(action=2))),
    Rule(Ret.INVALID, "unknown symbol", _always(buy(symbol="EURUSD.x"))),
    Rule(Ret.INVALID, "a market order of a pending type", _always(buy(type=2))),
    Rule(Ret.INVALID, "a pending order of a market type", _always(limit(type=0))),
    Rule(Ret.INVALID, "SL and TP of no position", _always(buy(action=6))),
    Rule(Ret.INVALID, "changes an order that is not there", _always({"action": 7, "order": 5})),
    Rule(Ret.INVALID, "removes an order that is not there", _always({"action": 8, "order": 5})),
    Rule(Ret.INVALID, "a close to the same side", _after_buying(lambda t: buy(position=t))),
    Rule(Ret.INVALID_VOLUME, "below the least", _always(buy(volume=0.001))),
    Rule(Ret.INVALID_VOLUME, "above the most", _always(buy(volume=500.01))),
    Rule(Ret.INVALID_VOLUME, "off the step", _always(buy(volume=0.015))),
    Rule(Ret.INVALID_VOLUME, "not a number", _always(buy(volume=float("nan")))),
    Rule(Ret.INVALID_VOLUME, "a close off the step",
         _after_buying(lambda t: sell(position=t, volume=0.015))),
    Rule(Ret.INVALID_PRICE, "instant execution without a price", _always(buy(price=0.0)), INSTANT),
    Rule(Ret.INVALID_PRICE, "instant execution off the grid", _always(buy(price=1.100105)),
         INSTANT),
    Rule(Ret.INVALID_PRICE, "infinite", _always(buy(price=float("inf")))),
    Rule(Ret.INVALID_PRICE, "a limit above the ask", _always(limit(price=1.2))),
    Rule(Ret.INVALID_PRICE, "a sell limit below the bid", _always(limit(type=3, price=1.0))),
    Rule(Ret.INVALID_PRICE, "a buy stop below the ask", _always(limit(type=4, price=1.0))),
    Rule(Ret.INVALID_PRICE, "a sell stop above the bid", _always(limit(type=5, price=1.2))),
    Rule(Ret.INVALID_PRICE, "too near", _always(limit(price=1.1)), {"stops_level": 20}),
    Rule(Ret.INVALID_PRICE, "a stop limit above its trigger",
         _always(limit(type=6, price=1.11, stoplimit=1.12))),
    Rule(Ret.INVALID_PRICE, "a price off the grid of ticks", _always(limit(price=1.09001)),
         {"tick_size": "0.00005"}),
    Rule(Ret.INVALID_PRICE, "a limit at the ask", _always(limit(price=1.1001))),
    Rule(Ret.INVALID_STOPS, "SL at the bid", _always(buy(sl=1.1))),
    Rule(Ret.INVALID_STOPS, "SL on the wrong side", _always(buy(sl=1.2))),
    Rule(Ret.INVALID_STOPS, "TP on the wrong side", _always(sell(tp=1.2))),
    Rule(Ret.INVALID_STOPS, "SL too near", _always(buy(sl=1.0999)), {"stops_level": 20}),
    Rule(Ret.INVALID_STOPS, "SL off the grid", _always(buy(sl=1.090005))),
    Rule(Ret.INVALID_STOPS, "TP of a position on the wrong side", _stops(tp=1.05)),
    Rule(Ret.INVALID_STOPS, "SL of a limit above its price", _always(limit(sl=1.095))),
    Rule(Ret.INVALID_STOPS, "SL not a number", _stops(sl=float("nan"))),
    Rule(Ret.TRADE_DISABLED, "the account's", _always(buy()), terms={"trade_allowed": False}),
    Rule(Ret.TRADE_DISABLED, "the symbol's", _always(buy()), {"trade_mode": 0}),
    Rule(Ret.MARKET_CLOSED, "closed now", _shut, checked=False),
    Rule(Ret.MARKET_CLOSED, "closed by its hours", _always(buy()),
         {"sessions": (Session(4, 0, 14 * 3600),)}, checked=False),
    Rule(Ret.NO_MONEY, "margin above free margin", _always(buy(volume=10.0))),
    Rule(Ret.PRICE_OFF, "not in Market Watch", _unwatched, checked=False),
    Rule(Ret.INVALID_EXPIRATION, "past", _always(limit(type_time=2, expiration=_NOW_S - 1))),
    Rule(Ret.INVALID_EXPIRATION, "UTC where the broker is ahead",
         _always(limit(type_time=2, expiration=NOON // 1000 + 60))),
    Rule(Ret.INVALID_EXPIRATION, "kind not allowed", _always(limit(type_time=1)),
         {"expiration_mode": 1}),
    Rule(Ret.TOO_MANY_REQUESTS, "a burst", _too_many, checked=False),
    Rule(Ret.NO_CHANGES, "the same stops", _stops(sl=0.0, tp=0.0)),
    Rule(Ret.NO_CHANGES, "the same order", _modify()),
    Rule(Ret.SERVER_DISABLES_AT, "the server's switch", _always(buy()),
         terms={"trade_expert": False}),
    Rule(Ret.LOCKED, "being dealt with", _locked, checked=False),
    Rule(Ret.FROZEN, "TP inside the freeze distance", _near, {"freeze_level": 10}, checked=False),
    Rule(Ret.INVALID_FILL, "FOK where only IOC is", _always(buy(type_filling=0)),
         {"filling_mode": 2}),
    Rule(Ret.INVALID_FILL, "RETURN at the market", _always(buy(type_filling=2))),
    Rule(Ret.INVALID_FILL, "BOC of a stop order",
         _always(limit(type=4, price=1.2, type_filling=3)), {"filling_mode": 7}),
    Rule(Ret.INVALID_FILL, "BOC not offered", _always(limit(type_filling=3))),
    Rule(Ret.CONNECTION, "no link", _cut),
    Rule(Ret.ONLY_REAL, "a demo account", _always(buy()), terms={"only_real": True}),
    Rule(Ret.LIMIT_ORDERS, "one is allowed", _after_placing(lambda _: limit()),
         terms={"limit_orders": 1}),
    Rule(Ret.LIMIT_VOLUME, "of the symbol", _after_buying(lambda _: buy()),
         {"volume_limit": "0.15"}),
    Rule(Ret.INVALID_ORDER, "market orders not offered", _always(buy()), {"order_mode": 126}),
    Rule(Ret.INVALID_ORDER, "limits not offered", _always(limit()), {"order_mode": 125}),
    Rule(Ret.POSITION_CLOSED, "closed by hand before", _closed),
    Rule(Ret.POSITION_CLOSED, "stops of a position that never was",
         _always({"action": 6, "symbol": "EURUSD", "position": 9, "sl": 1.0})),
    Rule(Ret.INVALID_CLOSE_VOLUME, "more than there is",
         _after_buying(lambda t: sell(position=t, volume=0.2))),
    Rule(Ret.CLOSE_ORDER_EXIST, "a close is on its way", _closing_already, checked=False),
    Rule(Ret.LIMIT_POSITIONS, "one is allowed", _after_buying(lambda _: buy()),
         terms={"limit_positions": 1}),
    Rule(Ret.LONG_ONLY, "a sale", _always(sell()), {"trade_mode": 1}),
    Rule(Ret.SHORT_ONLY, "a purchase", _always(buy()), {"trade_mode": 2}),
    Rule(Ret.CLOSE_ONLY, "an opening", _always(buy()), {"trade_mode": 3}),
    Rule(Ret.FIFO_CLOSE, "the younger first", _fifo, terms={"fifo_close": True}),
    Rule(Ret.HEDGE_PROHIBITED, "the other side", _after_buying(lambda _: sell()),
         terms={"hedge_prohibited": True}),
]  # fmt: skip
# A server's code that no request can earn by itself: it is planned.
PLANNED = (
    Ret.REJECT, Ret.CANCEL, Ret.ERROR, Ret.TIMEOUT, Ret.ORDER_CHANGED, Ret.CLIENT_DISABLES_AT,
    Ret.REJECT_CANCEL,
)  # fmt: skip
ACCEPTED = (Ret.GOOD, Ret.PLACED, Ret.DONE, Ret.DONE_PARTIAL)


def _books(broker: Broker) -> tuple[Any, ...]:
    return (broker.positions(), broker.orders(), broker.history_deals(*EVER))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_request_is_refused_for_its_own_reason_and_nothing_is_done(rule: Rule) -> None:
    broker = broker_of(symbol=_decimals(rule.symbol), **rule.terms)
    request = rule.ask(broker)
    before = _books(broker)
    checked = broker.check(request)
    assert (checked["retcode"] == rule.code) is rule.checked
    answer = broker.send(request)
    assert (answer["retcode"], answer["deal"], answer["order"]) == (rule.code, 0, 0)
    assert _books(broker) == before
    assert broker.lines()[-1]["retcode"] == rule.code


def _decimals(symbol: dict[str, Any]) -> dict[str, Any]:
    from decimal import Decimal

    return {k: Decimal(v) if isinstance(v, str) else v for k, v in symbol.items()}


def test_every_code_is_earned_planned_or_a_success() -> None:
    earned = {rule.code for rule in RULES}
    assert earned | set(PLANNED) | set(ACCEPTED) == set(Ret)
    assert not earned & set(PLANNED)


@pytest.mark.parametrize("code", [*PLANNED, Ret.MARKET_CLOSED, 10999])
@pytest.mark.parametrize("executed", [False, True])
def test_a_planned_code_says_nothing_of_what_was_done(code: int, executed: bool) -> None:
    broker = broker_of()
    broker.fail_next(code, executed=executed)
    answer = broker.send(buy())
    assert (answer["retcode"], answer["deal"], answer["order"]) == (code, 0, 0)
    assert len(broker.positions()) == executed
    assert broker.send(buy())["retcode"] == Ret.DONE, "a plan is for one request"


def test_what_the_dealer_rejects_is_in_the_history_as_an_order_without_deals() -> None:
    broker = broker_of()
    broker.fail_next(Ret.REJECT)
    broker.send(buy())
    (order,) = broker.history_orders(*EVER)
    assert (order["state"], order["magic"]) == (5, 77)
    assert len(broker.history_deals(*EVER)) == 1, "the deposit"


def test_an_order_that_somebody_else_changed_meanwhile_is_not_changed_again() -> None:
    broker = broker_of()
    ticket = int(broker.send(limit())["order"])
    taken = broker.accept({"action": 8, "order": ticket})
    broker.manual_modify(ticket, price="1.08")
    assert broker.execute(taken)["retcode"] == Ret.ORDER_CHANGED
    assert broker.orders()[0]["price_open"] == 1.08


def test_what_was_accepted_is_refused_if_it_is_no_longer_possible() -> None:
    broker = broker_of()
    ticket = int(broker.send(buy())["order"])
    taken = broker.accept(sell(position=ticket))
    broker.manual_close(ticket)
    assert broker.execute(taken)["retcode"] == Ret.POSITION_CLOSED
    assert broker.positions() == ()


def test_a_price_that_jumps_in_between_costs_a_requote_and_shows_the_new_prices() -> None:
    broker = broker_of(symbol=INSTANT)
    broker.jump_next("1.2", "1.3")
    answer = broker.send(buy())
    assert (answer["retcode"], answer["bid"], answer["ask"]) == (Ret.REQUOTE, 1.2, 1.3)


def test_a_burst_is_over_when_time_has_passed() -> None:
    broker = broker_of()
    request = _too_many(broker)
    assert broker.send(request)["retcode"] == Ret.TOO_MANY_REQUESTS
    broker.clock.source.advance(1_000)  # type: ignore[attr-defined]
    assert broker.send(request)["retcode"] == Ret.DONE


def test_what_the_terminal_turns_away_is_in_the_ledger_and_nowhere_else() -> None:
    broker = broker_of()
    assert broker.turn_away(buy(), 10027)["comment"] == "AutoTrading disabled by client"
    assert broker.begun() == 1
    assert broker.positions() == ()


def test_a_check_that_the_terminal_answers_is_in_the_ledger_as_a_check() -> None:
    broker = broker_of()
    assert broker.turn_away(buy(), 10019, checked=True)["retcode"] == 10019
    line = broker.lines()[-1]
    assert (line["at"], line["retcode"], line["request"]["magic"]) == ("check", 10019, 77)
    assert broker.begun() == 0
