"""The MetaTrader 5 backend on the stand-in: one request, then the records' word for it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.messages import Fence, Request
from bridge_server.core.ports import Executed, Lost, NotBegun, Rejected, Submission
from bridge_server.core.reconcile import Absence, Finding
from tests.support.fake_metatrader5 import ACCEPTED, ANSWERED, BEFORE, EXECUTED
from tests.support.mt5_world import Mt5World, filled, mt5_world, netting_terms, refused, scanned
from tests.support.paper import cancel, close, modify, open_order

_D = Decimal


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Mt5World]:
    with mt5_world(tmp_path) as made:
        yield made


@pytest.fixture
def netting(tmp_path: Path) -> Iterator[Mt5World]:
    with mt5_world(tmp_path, netting_terms()) as made:
        yield made


# --- a yes is no fill --------------------------------------------------------------------------


def test_a_done_without_numbers_is_told_with_the_deals_true_price_and_volume(
    world: Mt5World,
) -> None:
    world.broker.terms.answer_deal = False  # 10009, deal 0, price 0
    outcome = filled(world, open_order("SELL", "0.20"))
    assert outcome.status is Status.FILLED
    assert (outcome.facts.price, outcome.facts.volume) == (_D("1.085"), _D("0.2"))
    assert outcome.facts.retcode == 10009
    assert outcome.facts.deal
    assert outcome.facts.order == outcome.facts.ticket


def test_a_deal_that_is_shown_a_moment_later_is_waited_for(world: Mt5World) -> None:
    world.broker.terms.deal_visible_after_ms = 30
    assert filled(world).status is Status.FILLED
    assert world.terminal.count("order_send") == 1


def test_a_deal_that_is_shown_much_later_leaves_the_order_unknown_until_a_scan_finds_it(
    world: Mt5World,
) -> None:
    world.broker.terms.deal_visible_after_ms = 2_000
    submission = world.submission(open_order())
    outcome = world.backend.execute(submission)
    assert isinstance(outcome, Lost)
    assert "10009" in outcome.cause
    assert not isinstance(scanned(world, submission), Finding)
    world.clock.advance(2_100)
    found = scanned(world, submission)
    assert isinstance(found, Finding)
    assert isinstance(found.outcome, Executed)
    assert world.terminal.count("order_send") == 1


@pytest.mark.parametrize(
    ("parts", "status", "price"),
    [
        (("0.04", "0.06"), Status.FILLED, "1.08512"),
        (("0.04",), Status.PARTIAL, "1.08512"),
        (("0.01", "0.02", "0.03"), Status.PARTIAL, "1.08512"),
    ],
)
def test_the_volume_is_the_sum_of_the_deals_and_partial_is_real(
    world: Mt5World, parts: tuple[str, ...], status: Status, price: str
) -> None:
    world.broker.fill_next(*parts)
    outcome = filled(world)
    assert outcome.status is status
    assert outcome.facts.volume == sum(_D(one) for one in parts)
    assert outcome.facts.price == _D(price)
    assert world.terminal.count("order_send") == 1


@pytest.mark.parametrize("gap_ms", [20, 40])
def test_parts_that_come_one_by_one_are_all_waited_for(world: Mt5World, gap_ms: int) -> None:
    world.broker.fill_next("0.04", "0.06", gap_ms=gap_ms)
    outcome = filled(world)
    assert (outcome.status, outcome.facts.volume) == (Status.FILLED, _D("0.10"))


def test_a_commission_and_a_fee_are_told(world: Mt5World) -> None:
    world.broker.terms.symbols[0].commission = _D(7)
    assert filled(world).facts.commission == _D("-0.7")


@pytest.mark.parametrize(("then", "kind"), [("fill", Executed), ("reject", Rejected),
                                            ("cancel", Rejected)])  # fmt: skip
def test_a_placed_order_is_what_became_of_it_and_not_what_it_was_placed_as(
    world: Mt5World, then: str, kind: type
) -> None:
    world.broker.place_next(then, 30)
    outcome = world.do(open_order())
    assert isinstance(outcome, kind), outcome
    assert len(world.backend.snapshot().positions) == (then == "fill")


def test_an_order_that_the_broker_still_has_is_unknown_and_never_absent(world: Mt5World) -> None:
    world.broker.place_next("fill", None)  # until told so
    submission = world.submission(open_order())
    assert isinstance(world.backend.execute(submission), Lost)
    for _ in range(3):
        world.clock.advance(100_000)
        assert scanned(world, submission) == Absence(counts=False)
    (active,) = world.broker.orders()
    world.broker.finish(int(active["ticket"]), "fill")
    assert isinstance(scanned(world, submission), Finding)


def test_a_pending_order_is_working_once_it_is_shown(world: Mt5World) -> None:
    outcome = filled(world, open_order("BUY_LIMIT", price="1.07000", sl="1.06000"))
    assert (outcome.status, outcome.facts.price) == (Status.WORKING, _D("1.07"))
    assert (outcome.facts.sl, outcome.facts.retcode) == (_D("1.06"), 10009)
    assert outcome.facts.ticket in world.backend.snapshot().orders


# --- what is no yes ----------------------------------------------------------------------------


@pytest.mark.parametrize("retcode", [10011, 10012, 10023, 10028, 10031, 10039, 10005, 99999])
@pytest.mark.parametrize("executed", [True, False])
def test_a_code_that_decides_nothing_is_unknown_whatever_the_broker_did(
    world: Mt5World, retcode: int, *, executed: bool
) -> None:
    world.broker.fail_next(retcode, executed=executed)
    submission = world.submission(open_order())
    outcome = world.backend.execute(submission)
    assert isinstance(outcome, Lost)
    assert str(retcode) in outcome.cause
    assert isinstance(scanned(world, submission), Finding) == executed
    assert world.terminal.count("order_send") == 1


@pytest.mark.parametrize("retcode", [10004, 10006, 10018, 10019, 10020, 10024, 10030])
def test_a_no_is_told_and_never_tried_again(world: Mt5World, retcode: int) -> None:
    world.broker.fail_next(retcode)
    outcome = world.do(open_order())
    assert isinstance(outcome, Rejected)
    assert (outcome.facts.retcode, outcome.facts.symbol) == (retcode, "EURUSD")
    assert world.terminal.count("order_send") == 1
    assert not world.broker.positions()


@pytest.mark.parametrize("point", [BEFORE, ACCEPTED, EXECUTED, ANSWERED])
@pytest.mark.parametrize("code", [-1, -3, -10000, -10001, -10002])
def test_a_lost_answer_is_unknown_at_every_point_and_a_scan_tells(
    world: Mt5World, point: str, code: int
) -> None:
    world.terminal.faults.script("order_send", point, "error", code=code)
    submission = world.submission(open_order())
    outcome = world.backend.execute(submission)
    assert isinstance(outcome, Lost)
    world.backend.pump()
    assert isinstance(scanned(world, submission), Finding) == (point != BEFORE)
    assert len(world.broker.positions()) == (point != BEFORE)
    assert world.broker.begun() == (point != BEFORE)


def test_a_connection_that_was_not_there_sent_nothing(world: Mt5World) -> None:
    world.terminal.faults.script("order_send", BEFORE, "error", code=-10004)
    refused(world.do(open_order()), "BROKER_DOWN")
    assert not world.broker.begun()


# --- nothing is sent ---------------------------------------------------------------------------


def _nothing_sent(world: Mt5World) -> None:
    assert world.terminal.count("order_send") == 0
    assert world.broker.begun() == 0


def test_no_money_is_found_by_the_check_and_never_sent(world: Mt5World) -> None:
    outcome = world.do(open_order(volume="100"))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.facts.retcode) == (ReasonCode.NO_MONEY, 10019)
    _nothing_sent(world)


@pytest.mark.parametrize(
    ("switch", "words"),
    [({"trade_allowed": False}, "Algo Trading"), ({"tradeapi_disabled": True}, "Python")],
)
def test_trading_switched_off_in_the_terminal_is_said_with_its_fix(
    world: Mt5World, switch: dict[str, Any], words: str
) -> None:
    for name, value in switch.items():
        setattr(world.terminal, name, value)
    refusal = refused(world.do(open_order()), "TRADE_DISABLED")
    assert words in refusal.value
    _nothing_sent(world)


@pytest.mark.parametrize(
    "other", [{"login": 999}, {"server": "Other-Real"}, {"trade_mode": 2}, {"margin_mode": 0}]
)
def test_another_accounts_terminal_is_never_traded_on(
    world: Mt5World, other: dict[str, Any]
) -> None:
    world.terminal.login_as(**other)
    for body in (open_order(), close(1), modify(1), cancel(1)):
        refused(world.do(body), "ACCOUNT_MISMATCH")
    _nothing_sent(world)
    world.terminal.login_as()
    assert filled(world).status is Status.FILLED


def test_a_terminal_without_its_broker_gets_nothing(world: Mt5World) -> None:
    world.broker.link(False)
    refusal = refused(world.do(open_order()), "BROKER_DOWN")
    assert refusal.value
    _nothing_sent(world)


def test_a_terminal_that_is_gone_gets_nothing(world: Mt5World) -> None:
    world.terminal.launch.refuse = True
    world.terminal.kill()
    refused(world.do(open_order()), "BROKER_DOWN")
    _nothing_sent(world)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (open_order(symbol="EURUSD.m"), "SYMBOL_UNKNOWN"),
        (open_order(volume="0.105"), "VOLUME_GRID"),
        (open_order(volume="0.001"), "VOLUME_GRID"),
        (open_order(sl="1.080001"), "PRICE_GRID"),
        (open_order(sl="1.20000"), "STOPS_SIDE"),
        (open_order("BUY_LIMIT", price="1.20000"), "PRICE_SIDE"),
        (open_order(price="1.08000"), "PRICE_MOVED"),
        (open_order("BUY_LIMIT", price="1.07000", expiration=1_000), "EXPIRATION"),
        (close(5), "TICKET_UNKNOWN"),
        (modify(5), "TICKET_UNKNOWN"),
        (cancel(5), "TICKET_UNKNOWN"),
    ],
)
def test_bad_input_has_its_own_code_and_nothing_is_sent(
    world: Mt5World, body: Request, code: str
) -> None:
    refusal = refused(world.do(body), code)
    if code.endswith("_GRID"):
        assert refusal.nearest
    _nothing_sent(world)


@pytest.mark.parametrize("name", ["positions_get", "symbol_info_tick", "order_check"])
@pytest.mark.parametrize("kind", ["none", "error"])
def test_a_read_that_fails_before_the_order_sends_nothing(
    world: Mt5World, name: str, kind: str
) -> None:
    ticket = filled(world).facts.ticket
    sent = world.terminal.count("order_send")
    how = {"code": -1} if kind == "error" else {}
    world.terminal.faults.script(name, ANSWERED, kind, **how)  # type: ignore[arg-type]
    body = close(ticket) if name == "positions_get" else open_order()
    assert isinstance(world.do(body), NotBegun)
    assert world.terminal.count("order_send") == sent


def test_a_tick_without_a_price_is_no_quote(world: Mt5World) -> None:
    def empty(tick: dict[str, Any]) -> dict[str, Any]:
        return tick | {"bid": 0.0, "ask": 0.0}

    world.terminal.faults.script("symbol_info_tick", ANSWERED, "alter", change=empty, times=99)
    refused(world.do(open_order()), "NO_QUOTE")
    _nothing_sent(world)


def test_what_is_no_order_is_an_error_and_nothing_is_sent(world: Mt5World) -> None:
    submission = world.submission(open_order())
    fence = Fence(rid="1" * 32, inc="0" * 16, iat=0, symbol="")
    other = Submission(
        **{name: getattr(submission, name) for name in submission.__struct_fields__}
        | {"body": fence}
    )
    with pytest.raises(Exception, match="no order"):
        world.backend.execute(other)
    _nothing_sent(world)
