"""What the broker keeps of an order is not what was sent, or not where it was: one outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bridge_client import Position, TransportError
from bridge_core.protocol.messages import Resume, Settle
from bridge_core.protocol.operations import Op
from tests.mt5.house import terms_of
from tests.mt5.trial import Trial, hop_of, trial_in, word_of
from tests.support.fake_metatrader5.broker import pair
from tests.support.fake_metatrader5.faults import ANSWERED, EXECUTED, POINTS
from tests.support.running import wait_until

_EXPERT: Final = 3
COMMENTS: Final[dict[str, dict[str, Any]]] = {
    "cut to 16": {"comment_chars": 16},
    "cut to 8": {"comment_chars": 8},
    "cut to nothing": {"comment_chars": 0},
    "replaced": {"comment_replaced": "broker's own"},
    "replaced by nothing": {"comment_replaced": ""},
    "prefixed": {"comment_prefix": "BRK-77:"},
}
_USUAL: Final = {"comment_chars": 31, "comment_replaced": None, "comment_prefix": ""}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial_in(tmp_path_factory.mktemp("records")) as trial:
        yield trial


# --- comments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["buy", "close", "limit"])
@pytest.mark.parametrize("name", COMMENTS)
def test_an_order_is_found_by_its_magic_whatever_becomes_of_its_comment(
    trial: Trial, name: str, order: str
) -> None:
    terms = trial.house.broker.terms
    for field, value in COMMENTS[name].items():
        setattr(terms, field, value)
    ended = trial.meet(order, lambda: trial.script("order_send", ANSWERED, "error", code=-1))
    for field, value in _USUAL.items():
        setattr(terms, field, value)
    assert ended.word == ("WORKING" if order == "limit" else "FILLED"), ended
    assert ended.runs == 1
    assert ended.result.evidence == "TAG"


# --- tickets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("lost", [False, True])
def test_a_position_that_gets_another_ticket_under_a_partial_close_is_closed_once(
    trial: Trial, point: str, *, lost: bool
) -> None:
    bridge, broker = trial.bridge, trial.house.broker
    trial.house.ready()
    opened = bridge.buy("EURUSD", 0.03)
    old = broker.begun()
    fresh: list[int] = []
    kind = "error" if lost else "delay"
    trial.at(point, lambda: fresh.append(broker.renumber(opened.ticket)), kind=kind, code=-1)
    told = trial.ended(bridge.close_position(opened, volume=0.01, wait=0.3))
    assert broker.begun() <= old + 1
    (left,) = [row for row in broker.positions() if row["ticket"] == fresh[0]]
    ran = left["volume"] == 0.02
    assert ran or left["volume"] == 0.03, left
    assert (word_of(told) == "FILLED") is ran, told
    assert ran or told.status in ("DENIED", "REJECTED"), told
    wait_until(lambda: fresh[0] in {one.ticket for one in bridge.get_positions()})
    rest = bridge.close_position(fresh[0])
    assert word_of(rest) == "FILLED", rest


def test_two_orders_with_one_tag_are_no_outcome_until_a_person_looks(tmp_path: Path) -> None:
    with trial_in(tmp_path) as trial:
        house, bridge = trial.house, trial.bridge
        broker = house.broker

        def double() -> None:
            request = house.terminal.calls[-1].args
            broker.manual_buy(
                "EURUSD", "0.01", magic=request["magic"], comment=request["comment"],
                reason=_EXPERT,
            )  # fmt: skip

        trial.at(EXECUTED, double, kind="error", code=-1)
        told = bridge.buy("EURUSD", 0.01, wait=0.3)
        wait_until(lambda: "GHOST_FILL" in {one.cause for one in bridge.health().causes}, 10)
        why = next(one.reason for one in bridge.health().causes if one.cause == "GHOST_FILL")
        orders = {str(row["ticket"]) for row in broker.positions()}
        assert all(order in why for order in orders), (why, orders)
        assert not bridge.wait(told, timeout=0).final
        assert word_of(bridge.buy("EURUSD", 0.01)).startswith("DENIED")
        operator = house.client("operator")
        ours = min(int(one) for one in orders)
        word = Settle(rid=told.rid, status="FILLED", ticket=ours, reason="seen in the terminal")
        assert operator.do(Op.SETTLE, word).status == "DONE"
        found = trial.ended(told)
        assert (word_of(found), found.ticket) == ("FILLED HUMAN", ours)
        assert operator.do(Op.RESUME, Resume(cause="GHOST_FILL", reason="seen")).status == "DONE"
        operator.close()
        trial.heals()


# --- what rests, what jumps, what is stale -----------------------------------------------------


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """EURUSD as exchanges have it: RETURN, so a rest stays. USDJPY: instant execution."""
    eurusd = terms_of().symbols[0]
    eurusd.exemode, eurusd.filling_mode = 3, 0
    usdjpy = pair("USDJPY", digits=3, exemode=1, filling_mode=3)
    folder = tmp_path_factory.mktemp("exchange")
    with trial_in(folder, symbols=(eurusd, usdjpy)) as trial:
        yield trial


@pytest.mark.parametrize(("how", "may"), [("fill", "FILLED"), ("cancel", "PARTIAL")])
def test_a_rest_that_stays_active_keeps_the_order_open_until_it_ends(
    exchange: Trial, how: str, may: str
) -> None:
    broker = exchange.house.broker

    def back() -> None:
        (resting,) = broker.orders()
        assert resting["volume_current"] == 0.06
        broker.finish(resting["ticket"], how)

    ended = exchange.meet("buy", lambda: broker.fill_next("0.04"), back, volume=0.1)
    assert ended.word == may, ended
    assert ended.result.volume == (0.1 if how == "fill" else 0.04)
    assert ended.sent == 1


def test_a_price_that_jumps_between_check_and_send_is_a_requote(exchange: Trial) -> None:
    bridge, broker = exchange.bridge, exchange.house.broker
    exchange.house.ready()
    exchange.priced("USDJPY")
    broker.jump_next("151.100", "151.112")
    told = bridge.buy("USDJPY", 0.01, deviation=10)
    broker.price("USDJPY", "150.100", "150.112")
    assert word_of(told) == "REJECTED REQUOTE", told


def test_a_price_that_left_the_strategys_own_is_not_sent_at_all(exchange: Trial) -> None:
    bridge, house = exchange.bridge, exchange.house
    house.ready()
    old = house.broker.begun()
    told = bridge.buy("USDJPY", 0.01, price=150.0, deviation=10)
    assert word_of(told) == "DENIED PRICE_MOVED", told
    assert house.broker.begun() == old


def test_a_stale_tick_is_no_price_to_be_filled_at(exchange: Trial) -> None:
    """The terminal shows an old price: what is told is what the deal says."""
    bridge, broker = exchange.bridge, exchange.house.broker
    exchange.house.ready()
    broker.terms.symbols[1].exemode = 2
    broker.jump_next("150.300", "150.312")
    told = bridge.buy("USDJPY", 0.01)
    assert (word_of(told), told.price) == ("FILLED", 150.312)


# --- huge, and None -----------------------------------------------------------------------------


# What is said where the terminal takes longer to show everything than a picture may be old.
_TOO_OLD: Final = ("STALE_QUOTE", "NO_QUOTE", "NO_ACCOUNT", "NO_CONNECTION", "BROKER_DOWN")


def test_a_thousand_positions_are_read_and_traded_beside(tmp_path: Path) -> None:
    with _crowd(tmp_path, 1_000) as trial:
        # An entry is judged by a picture of all of them; the fault is met after that.
        ended = trial.meet(
            "buy", lambda: trial.script("order_send", EXECUTED, "error", code=-1), wait=10.0
        )
        assert ended.word == "FILLED"
        closed = trial.ended(trial.bridge.close_position(ended.result))
        assert word_of(closed) == "FILLED", closed


@pytest.mark.long
def test_of_ten_thousand_positions_any_can_be_closed_though_an_entry_may_be_refused(
    tmp_path: Path,
) -> None:
    with _crowd(tmp_path, 10_000) as trial:
        old = trial.house.broker.begun()
        told = trial.ended(trial.bridge.buy("EURUSD", 0.01))
        if word_of(told) != "FILLED":
            assert (told.status, told.code in _TOO_OLD) == ("DENIED", True), told
            assert trial.house.broker.begun() == old
        one, said = _shown(trial)[-1], ""
        for _ in range(10):  # behind a look at all of them it may be too late: then again
            old = trial.house.broker.begun()
            said = word_of(trial.ended(trial.bridge.close_position(one)))
            if said == "FILLED":
                break
            assert said in ("DENIED EXPIRED", "DENIED NO_CONNECTION")
            assert trial.house.broker.begun() == old
        assert said == "FILLED"


@contextmanager
def _crowd(folder: Path, number: int) -> Iterator[Trial]:
    patient = {"ZTB_TEST_READ_MS": "30000", "ZTB_TEST_TRADE_MS": "60000"}
    with trial_in(folder, patient) as trial:
        broker, bridge = trial.house.broker, trial.bridge
        broker.pay_in(10**9)
        for _ in range(number):
            broker.manual_buy("USDJPY", "0.01")
        for _ in range(60):  # as strategies do: an event feed that nobody reads overflows
            trial.listen(1.0)
            if len(_shown(trial)) == number:
                break
        yield trial
        wait_until(lambda: hop_of(bridge)[0] == "up", 20)


def _shown(trial: Trial) -> list[Position]:
    """Return the crowd, nothing while its server has no time to tell it."""
    try:
        return trial.bridge.get_positions("USDJPY")
    except TransportError:
        return []
