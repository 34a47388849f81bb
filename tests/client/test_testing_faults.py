"""The test kit's faults: what a strategy sees, and that one order stays one order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bridge_client import ConfigError, Connector, OrderResult, ReasonCode, Status
from bridge_client.testing import BrokerAct, PaperBridge, paper_bridge
from bridge_core.protocol.code_table import CODES
from tests.support.running import wait_until

SYMBOL = "EURUSD"
PRICES = [1.1000, 1.1010, 1.1020, 1.1030]


@pytest.fixture(scope="module")
def _one() -> Iterator[PaperBridge]:
    # As a plain context manager: what is judged at its end is judged for all of them.
    with paper_bridge(prices=PRICES, ttl_ms=2000) as bridge:
        yield bridge


@pytest.fixture
def shared(_one: PaperBridge) -> PaperBridge:
    """One server for the tests that need none of their own; flat, and nothing is armed."""
    _one.clear_faults()
    if _one.get_positions():
        _one.close_all()
    return _one


@pytest.fixture
def bridge() -> Iterator[PaperBridge]:
    """A server of the test's own."""
    with paper_bridge(prices=PRICES, ttl_ms=2000) as bridge:
        yield bridge


@pytest.fixture
def hasty() -> Iterator[PaperBridge]:
    """A strategy that waits for nothing: it sees every state in between."""
    with paper_bridge(prices=PRICES, ttl_ms=2000, patience=0.1) as bridge:
        yield bridge


def _since(bridge: PaperBridge, acts: int) -> list[BrokerAct]:
    return list(bridge.ledger()[acts:])


def _of(bridge: PaperBridge, result: OrderResult) -> list[BrokerAct]:
    return [act for act in bridge.ledger() if act.client_order_id == result.client_order_id]


# --- the server ----------------------------------------------------------------------------------


def test_without_a_server_nothing_is_signed_and_the_strategy_is_told_so(
    bridge: PaperBridge,
) -> None:
    bridge.kill_server()
    result = bridge.buy(SYMBOL, 0.01, wait=0.2)
    assert (result.status, result.code, result.by) == (
        Status.DENIED, ReasonCode.NO_CONNECTION, "connector",
    )  # fmt: skip
    assert bridge.health(0.2).state == "OFFLINE"
    bridge.start_server()
    bridge.start_server()  # it runs already
    assert bridge.buy(SYMBOL, 0.01).status is Status.FILLED
    assert [act.n for act in bridge.ledger()] == [1]


def test_an_order_at_the_broker_when_the_server_dies_is_unknown_and_then_known(
    hasty: PaperBridge,
) -> None:
    hasty.hang_broker(30)
    result = hasty.buy(SYMBOL, 0.01, client_order_id="in-flight")
    assert result.status in (Status.PENDING, Status.UNKNOWN)
    wait_until(lambda: [act.outcome for act in hasty.ledger()] == [""])  # it is at the broker
    hasty.kill_server()
    assert not hasty.wait(result, 0.2).final
    hasty.start_server()
    known = hasty.wait(result, 10)
    assert known.final
    assert (known.status is Status.FILLED) == bool(hasty.get_positions())
    assert (known.status, known.code) == (Status.DENIED, ReasonCode.ABSENT)
    again = hasty.buy(SYMBOL, 0.01, client_order_id="in-flight")
    assert again.rid == known.rid, "the same id is the same order, for ever"
    assert len(hasty.ledger()) == 1


def test_the_market_goes_on_while_the_server_is_dead(bridge: PaperBridge) -> None:
    held = bridge.buy(SYMBOL, 0.01, sl=1.0950)
    bridge.kill_server()
    told = bridge.gap(-0.02)
    assert (told.bid, told.ask) == (1.07995, 1.08005)
    assert bridge.step().bid == 1.08095, "later prices stay shifted"
    bridge.start_server()
    bridge.step()
    assert bridge.get_positions() == []
    out = [deal for deal in bridge.get_history() if deal.entry == "OUT"]
    assert [(deal.ticket, deal.price, deal.reason) for deal in out] == [
        (held.ticket, 1.07995, "SL")
    ]


# --- the wire and the clock ----------------------------------------------------------------------


def test_a_reply_lost_on_its_way_costs_time_and_no_second_order(shared: PaperBridge) -> None:
    before = shared.dropped_replies
    shared.drop_next_reply()
    result = shared.buy(SYMBOL, 0.01)
    assert result.status is Status.FILLED
    assert shared.dropped_replies == before + 1
    assert len(_of(shared, result)) == len(shared.get_positions()) == 1


@pytest.mark.long
def test_when_every_copy_s_reply_is_lost_the_outcome_is_found_by_asking(
    hasty: PaperBridge,
) -> None:
    hasty.drop_next_reply(4)
    result = hasty.buy(SYMBOL, 0.01)
    assert result.status is Status.UNKNOWN, "a timeout is never a failure"
    known = hasty.wait(result, 10)
    assert known.status is Status.FILLED
    assert hasty.dropped_replies == 4
    assert len(_of(hasty, known)) == 1
    assert hasty.close_position(known).status in (Status.FILLED, Status.UNKNOWN)


def test_a_wrong_clock_stops_entries_and_never_a_close(shared: PaperBridge) -> None:
    held = shared.buy(SYMBOL, 0.01)
    for seconds in (30, -60):
        shared.clock_step(seconds)
        result = shared.buy(SYMBOL, 0.01)
        assert (result.status, result.code) == (Status.DENIED, ReasonCode.CLOCK_SKEW)
    assert shared.close_position(held).status is Status.FILLED
    shared.clock_step(30)
    assert shared.buy(SYMBOL, 0.01).status is Status.FILLED


# --- the broker ----------------------------------------------------------------------------------


def test_a_hanging_broker_leaves_the_order_open_and_everything_else_alive(
    hasty: PaperBridge,
) -> None:
    hasty.hang_broker(30)
    result = hasty.buy(SYMBOL, 0.01)
    assert not result.final
    assert [one.client_order_id for one in hasty.unfinished()] == [result.client_order_id]
    assert hasty.health().state != "OFFLINE"
    assert hasty.get_positions() == []
    hasty.release_broker()
    known = hasty.wait(result, 10)
    assert known.status is Status.FILLED
    assert len(_of(hasty, known)) == 1


def test_a_hang_ends_by_itself(shared: PaperBridge) -> None:
    shared.hang_broker(0.3)
    begun = time.monotonic()
    assert shared.buy(SYMBOL, 0.01).status is Status.FILLED
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize("executed", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_lost_answer_is_unknown_until_the_broker_s_records_were_read(
    hasty: PaperBridge, executed: bool
) -> None:
    hasty.lose_next_answer(executed=executed, seconds=0.5)
    result = hasty.buy(SYMBOL, 0.01)
    assert result.status is Status.UNKNOWN
    meanwhile = hasty.buy(SYMBOL, 0.01)
    assert meanwhile.status is not Status.FILLED, "nothing is added to an order nobody knows of"
    known = hasty.wait(result, 10)
    if executed:
        assert (known.status, len(hasty.get_positions())) == (Status.FILLED, 1)
    else:
        assert (known.status, known.code) == (Status.DENIED, ReasonCode.ABSENT)
        assert hasty.get_positions() == []
    assert len(_of(hasty, known)) == 1


def test_a_rejection_is_the_broker_s_word_and_hits_as_many_orders_as_asked(
    shared: PaperBridge,
) -> None:
    acts = len(shared.ledger())
    shared.reject_next("NO_MONEY", count=2)
    for _ in range(2):
        result = shared.buy(SYMBOL, 0.01)
        assert (result.status, result.code, result.by) == (
            Status.REJECTED, ReasonCode.NO_MONEY, "broker",
        )  # fmt: skip
    assert shared.buy(SYMBOL, 0.01).status is Status.FILLED
    assert [act.code for act in _since(shared, acts)] == ["NO_MONEY", "NO_MONEY", ""]


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (lambda bridge: bridge.reject_next("NOMONEY"), "did you mean NO_MONEY"),
        (lambda bridge: bridge.reject_next("HALTED"), "no broker says HALTED"),
        (lambda bridge: bridge.reject_next(count=0), "from 1 to 1000"),
        (lambda bridge: bridge.drop_next_reply(0), "from 1 to 1000"),
        (lambda bridge: bridge.hang_broker(61), "<= 60"),
        (lambda bridge: bridge.partial_next(0), "positive"),
        (lambda bridge: bridge.gap("much"), "no number"),
        (lambda bridge: bridge.gap(-2), "below 0"),
        (lambda bridge: bridge.spread(-1), "spread=-1"),
        (lambda bridge: bridge.step((1.2, 1.1)), "below the bid"),
        (lambda bridge: bridge.step(symbol="EURUSF"), "did you mean EURUSD"),
        (lambda bridge: bridge.events("EURUSF"), "did you mean EURUSD"),
        (lambda bridge: bridge.advance(0), "count=0"),
        (lambda bridge: bridge.before(1, bridge.kill_server), "has come already"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_a_hint(
    shared: PaperBridge, fault: Callable[[PaperBridge], None], hint: str
) -> None:
    with pytest.raises(ConfigError, match=hint):
        fault(shared)


def test_every_word_that_reject_next_takes_is_one_that_only_a_broker_says() -> None:
    said = {code for code in ReasonCode if "broker" in CODES[code].by}
    assert {"NO_MONEY", "REQUOTE", "MARKET_CLOSED", "BROKER_REJECTED"} <= said
    assert not said & {"DENIED", "HALTED", "ABSENT", "EXPIRED", "MAX_VOLUME"}


def test_a_part_is_partial_on_the_way_in_and_out(shared: PaperBridge) -> None:
    acts = len(shared.ledger())
    shared.partial_next(0.04)
    result = shared.buy(SYMBOL, 0.10)
    assert (result.status, result.volume) == (Status.PARTIAL, 0.04)
    shared.partial_next("0.01")
    out = shared.close_position(result)
    assert (out.status, out.volume, out.remaining_volume) == (Status.PARTIAL, 0.01, 0.03)
    assert [position.volume for position in shared.get_positions()] == [0.03]
    first = _since(shared, acts)[0]
    assert (first.volume, first.filled_volume) == (0.10, 0.04)


def test_faults_that_have_not_hit_can_be_cleared(shared: PaperBridge) -> None:
    shared.reject_next()
    shared.lose_next_answer()
    shared.drop_next_reply()
    shared.clock_step(9)
    dropped = shared.dropped_replies
    shared.clear_faults()
    assert shared.buy(SYMBOL, 0.01).status is Status.FILLED
    assert shared.dropped_replies == dropped


def test_a_gap_fills_a_stop_beyond_its_price(shared: PaperBridge) -> None:
    quote = shared.step(1.1)
    held = shared.buy(SYMBOL, 0.01, sl=1.0950)
    gone = shared.gap(-0.01)
    assert round(quote.bid - gone.bid, 5) == 0.01
    deal = shared.get_history()[-1]
    assert (deal.ticket, deal.reason, deal.price) == (held.ticket, "SL", gone.bid)


def test_a_wider_spread_is_paid_and_stays(shared: PaperBridge) -> None:
    shared.step(1.1)
    quote = shared.spread(50)
    assert round(quote.ask - quote.bid, 5) == 0.0005
    assert shared.buy(SYMBOL, 0.01).price == quote.ask
    later = shared.step()
    assert round(later.ask - later.bid, 5) == 0.0005
    shared.spread(10)


def test_a_halt_stays_until_the_operator_s_word(bridge: PaperBridge) -> None:
    bridge.halt("enough")
    bridge.restart_server()
    assert bridge.buy(SYMBOL, 0.01).code == ReasonCode.HALTED
    with Connector.from_config(bridge.operator) as operator:
        operator.resume("OPERATOR", "looked at it")
    assert bridge.buy(SYMBOL, 0.01).status is Status.FILLED


def test_a_strategy_with_a_connector_of_its_own_is_judged_too(shared: PaperBridge) -> None:
    acts = len(shared.ledger())
    with Connector.from_config(shared.config, client="mine") as mine:
        mine.connect()
        result = mine.buy(SYMBOL, 0.01, client_order_id="mine-1")
    assert result.status is Status.FILLED
    assert [act.client_order_id for act in _since(shared, acts)] == ["mine-1"]


def test_every_ticket_of_a_flatten_is_told_by_its_parent_s_id(shared: PaperBridge) -> None:
    for _ in range(2):
        shared.buy(SYMBOL, 0.01)
    acts = len(shared.ledger())
    shared.flatten("the end", client_order_id="all-out")
    assert [act.client_order_id for act in _since(shared, acts)] == ["all-out"] * 2


def test_two_threads_with_one_id_are_one_order_whatever_is_lost(shared: PaperBridge) -> None:
    acts = len(shared.ledger())
    shared.lose_next_answer()
    shared.drop_next_reply()
    told: list[OrderResult] = []
    senders = [
        threading.Thread(
            target=lambda: told.append(shared.buy(SYMBOL, 0.01, client_order_id="once"))
        )
        for _ in range(3)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert [(one.status, one.rid) for one in told] == [(Status.FILLED, told[0].rid)] * 3
    assert len(_since(shared, acts)) == 1
