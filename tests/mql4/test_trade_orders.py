"""The Advisor's desk carries out signed orders: each operation, each outcome, the broker's numbers.

The broker's own ledger is the judge (promises S1, S3): what was signed is what was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.messages import Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import make_tag
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import BrokerTerms, SymbolTerms
from tests.mql4.trade_desk import ACCT, TradeDesk, an_open, cancel, close, modify

pytestmark = needs_compiler


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TradeDesk]:
    with TradeDesk(tmp_path) as made:
        yield made


def test_a_market_order_is_sent_once_as_signed_and_answered_with_the_brokers_numbers(
    desk: TradeDesk,
) -> None:
    body = an_open(sl="1.08000", tp="1.09000", price="1.08510", comment="Strategy_v1 long tail")
    word = desk.order(Op.OPEN, body)
    assert (word["status"], word["code"], word["volume"]) == ("FILLED", "-", "0.1")
    assert (word["price"], word["sl"], word["tp"]) == ("1.08512", "1.08000", "1.09000")
    (sent,) = desk.terminal.submissions()
    tag = make_tag(ACCT, word["rid"])
    assert (sent["magic"], sent["comment"]) == (
        tag.mt4_magic, tag.broker_comment("Strategy_v1 long tail", 31),
    )  # fmt: skip
    assert sent["fields"] == {
        "symbol": "EURUSD", "type": "BUY", "volume": "0.1", "price": "1.08512", "sl": "1.08",
        "tp": "1.09", "deviation": 20, "expiration": 0,
    }  # fmt: skip


def test_busy_is_said_right_before_the_broker_call(desk: TradeDesk) -> None:
    word = desk.opened()
    assert desk.terminal.prints[0] == f"BUSY 7 {word['rid']}"


def test_a_record_of_an_open_shows_ticket_volume_and_fill(desk: TradeDesk) -> None:
    word = desk.opened(type="SELL", volume="0.03")
    record = desk.record(word)
    assert (record.op, record.ticket, record.volume, record.price) == (
        "OPEN", word["ticket"], "0.03", "1.08500",
    )  # fmt: skip


def test_an_order_that_fills_in_part_is_partial_and_no_more_is_bought(desk: TradeDesk) -> None:
    desk.terminal.command("part", "0.04")
    word = desk.order(Op.OPEN, an_open(volume="0.10"))
    assert (word["status"], word["code"], word["volume"]) == ("PARTIAL", "-", "0.04")
    assert desk.record(word).volume == "0.04"
    desk.settle()
    assert desk.status(word["rid"]) == word
    assert desk.calls() == 1


@pytest.mark.parametrize(
    ("kind", "price"),
    [
        ("BUY_LIMIT", "1.08400"),
        ("SELL_LIMIT", "1.08600"),
        ("BUY_STOP", "1.08600"),
        ("SELL_STOP", "1.08400"),
    ],
)
def test_a_pending_order_rests_with_its_stops_and_expiration(
    desk: TradeDesk, kind: str, price: str
) -> None:
    buys = kind.startswith("BUY")
    expiration = desk.market_ms() + 3_600_000
    word = desk.order(
        Op.OPEN,
        an_open(
            type=kind, price=price, sl="1.08000" if buys else "1.09000",
            tp="1.09000" if buys else "1.08000", expiration=expiration,
        ),
    )  # fmt: skip
    assert (word["status"], word["price"]) == ("WORKING", price)
    (sent,) = desk.terminal.submissions()
    assert sent["fields"]["expiration"] == expiration + desk.terminal.terms.zone_ms
    (row,) = desk.terminal.orders()
    assert row["ticket"] == word["ticket"]


def test_a_close_takes_all_and_says_what_it_brought(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    desk.terminal.command("price", "EURUSD", "1.08600", "1.08612")
    word = desk.order(Op.CLOSE, close(ticket))
    assert (word["status"], word["close_price"], word["profit"]) == ("FILLED", "1.08600", "8.80")
    assert (word["remaining_ticket"], word["remaining_volume"]) == (0, "0")
    assert desk.record(word).price == "1.08600"
    assert desk.terminal.orders() == []


def test_a_partial_close_finds_the_new_ticket_of_the_rest(desk: TradeDesk) -> None:
    ticket = desk.opened(volume="0.10")["ticket"]
    word = desk.order(Op.CLOSE, close(ticket, "0.04"))
    assert (word["status"], word["ticket"], word["volume"]) == ("FILLED", ticket, "0.04")
    (row,) = desk.terminal.orders()
    assert (word["remaining_ticket"], word["remaining_volume"]) == (row["ticket"], "0.06")
    rest = desk.order(Op.CLOSE, close(word["remaining_ticket"]))
    assert (rest["status"], rest["volume"]) == ("FILLED", "0.06")


def test_the_rest_is_the_one_that_follows_among_several_positions(desk: TradeDesk) -> None:
    other = desk.opened(volume="0.05")["ticket"]
    ticket = desk.opened(volume="0.10")["ticket"]
    desk.opened(volume="0.02")
    word = desk.order(Op.CLOSE, close(ticket, "0.07"))
    rows = {row["ticket"]: row for row in desk.terminal.orders()}
    assert rows[word["remaining_ticket"]]["comment"] == f"from #{ticket}"
    assert word["remaining_ticket"] != other


def test_stops_of_a_position_are_set_and_taken_away(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    word = desk.order(Op.MODIFY, modify(ticket, sl="1.08000", tp="1.09000"))
    assert (word["status"], word["sl"], word["tp"]) == ("DONE", "1.08000", "1.09000")
    gone = desk.order(Op.MODIFY, modify(ticket, old_sl="1.08000", old_tp="1.09000"))
    assert (gone["status"], gone["sl"], gone["tp"]) == ("DONE", "0", "0")


def test_a_pending_order_is_moved_and_without_a_price_only_its_stops_change(
    desk: TradeDesk,
) -> None:
    expiration = desk.market_ms() + 3_600_000
    ticket = desk.opened(type="BUY_LIMIT", price="1.08400", expiration=expiration)["ticket"]
    stops = desk.order(Op.MODIFY, modify(ticket, sl="1.08000"))
    assert (stops["status"], stops["price"], stops["sl"]) == ("DONE", "1.08400", "1.08000")
    (row,) = desk.terminal.orders()
    assert row["expiration_s"] * 1000 == expiration + desk.terminal.terms.zone_ms
    moved = desk.order(
        Op.MODIFY,
        modify(ticket, price="1.08300", sl="1.08000", old_sl="1.08000", expiration=0),
    )
    assert (moved["status"], moved["price"]) == ("DONE", "1.08300")
    (row,) = desk.terminal.orders()
    assert (row["open_price"], row["expiration_s"]) == (1.083, 0)


def test_stops_that_stand_already_are_done_without_asking_the_broker(desk: TradeDesk) -> None:
    ticket = desk.opened(sl="1.08000")["ticket"]
    calls = desk.calls()
    word = desk.order(Op.MODIFY, modify(ticket, sl="1.08000", old_sl="1.08000"))
    assert (word["status"], desk.calls()) == ("DONE", calls)


def test_stops_that_somebody_else_changed_are_not_overwritten(desk: TradeDesk) -> None:
    ticket = desk.opened(sl="1.08000")["ticket"]
    desk.terminal.command("manual_modify", ticket, "1.08100", "0")
    calls = desk.calls()
    word = desk.order(Op.MODIFY, modify(ticket, sl="1.07000", old_sl="1.08000"))
    assert (word["status"], word["code"]) == ("DENIED", "CHANGED")
    assert word["value"] == "sl=1.081 tp=0"
    assert desk.calls() == calls


def test_an_older_modify_does_not_undo_a_newer_one(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    older = desk.sign(Op.MODIFY, modify(ticket, sl="1.07000"))
    desk.advance(5)
    assert desk.order(Op.MODIFY, modify(ticket, sl="1.08000"))["status"] == "DONE"
    word = desk.run(older)
    assert (word["status"], word["code"]) == ("DENIED", "SUPERSEDED")


def test_a_pending_order_is_cancelled(desk: TradeDesk) -> None:
    ticket = desk.opened(type="SELL_STOP", price="1.08000")["ticket"]
    word = desk.order(Op.CANCEL, cancel(ticket))
    assert (word["status"], word["ticket"]) == ("DONE", ticket)
    assert desk.terminal.orders() == []


def test_a_position_is_not_cancelled_and_a_pending_order_not_closed(desk: TradeDesk) -> None:
    position = desk.opened()["ticket"]
    pending = desk.opened(type="BUY_LIMIT", price="1.08000")["ticket"]
    calls = desk.calls()
    assert desk.order(Op.CANCEL, cancel(position))["code"] == "TICKET_UNKNOWN"
    assert desk.order(Op.CLOSE, close(pending))["code"] == "TICKET_UNKNOWN"
    assert desk.order(Op.CLOSE, close(99))["code"] == "TICKET_UNKNOWN"
    assert desk.calls() == calls


def test_a_close_must_name_the_symbol_of_its_ticket(tmp_path: Path) -> None:
    with TradeDesk(tmp_path, {"Symbols": "EURUSD, USDJPY"}) as desk:
        ticket = desk.opened()["ticket"]
        word = desk.order(Op.CLOSE, close(ticket, symbol="USDJPY"))
        assert (word["status"], word["code"]) == ("DENIED", "TICKET_UNKNOWN")


def _moved(body: Open, bid: str, ask: str, desk: TradeDesk) -> str:
    desk.terminal.command("price", "EURUSD", bid, ask)
    code: str = desk.order(Op.OPEN, body)["code"]
    return code


def test_a_reference_price_that_moved_beyond_the_deviation_is_denied(desk: TradeDesk) -> None:
    body = an_open(price="1.08512", deviation=10)
    assert _moved(body, "1.08511", "1.08523", desk) == "PRICE_MOVED"
    assert desk.calls() == 0
    assert _moved(body, "1.08510", "1.08522", desk) == "-"
    assert _moved(an_open(price="1.08522", deviation=0), "1.08510", "1.08522", desk) == "-"
    assert _moved(an_open(price="1.08523", deviation=0), "1.08510", "1.08522", desk) == (
        "PRICE_MOVED"
    )


def test_a_reference_price_that_moves_while_the_disk_is_slow_is_denied(desk: TradeDesk) -> None:
    desk.terminal.command("slow", "FileFlush", 1_000)
    frames = desk.sign(Op.OPEN, an_open(price="1.08512", deviation=10), rid="5e" * 16)
    desk.post("exec", 7, 0, frames.token.hex(), frames.body.hex())
    desk.terminal.wait_for(lambda: b"INTENT" in desk.journal())
    desk.terminal.command("price", "EURUSD", "1.08511", "1.08523")
    desk.terminal.wait_for(lambda: bool(desk.terminal.prints))
    word = desk.status("5e" * 16)
    assert (word["status"], word["code"], desk.calls()) == ("DENIED", "PRICE_MOVED", 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"volume": "0.105"}, "VOLUME_GRID"),
        ({"volume": "0.005"}, "VOLUME_GRID"),
        ({"volume": "100.01"}, "VOLUME_GRID"),
        ({"sl": "1.080001"}, "PRICE_GRID"),
        ({"price": "1.085123"}, "PRICE_GRID"),
        ({"type": "BUY_LIMIT", "price": "0"}, "PRICE_GRID"),
        ({"type": "BUY_LIMIT", "price": "1.08512"}, "PRICE_SIDE"),
        ({"type": "SELL_LIMIT", "price": "1.08500"}, "PRICE_SIDE"),
        ({"type": "BUY_STOP", "price": "1.08400"}, "PRICE_SIDE"),
        ({"type": "SELL_STOP", "price": "1.08600"}, "PRICE_SIDE"),
        ({"sl": "1.08500"}, "STOPS_SIDE"),
        ({"tp": "1.08500"}, "STOPS_SIDE"),
        ({"type": "SELL", "sl": "1.08512"}, "STOPS_SIDE"),
        ({"sl": "1.08491"}, "STOPS_LEVEL"),
        ({"type": "BUY_LIMIT", "price": "1.08503"}, "STOPS_LEVEL"),
        ({"type": "BUY_LIMIT", "price": "1.08400", "sl": "1.08395"}, "STOPS_LEVEL"),
        ({"expiration": 1}, "EXPIRATION"),
        ({"type": "BUY_LIMIT", "price": "1.08400", "expiration": 1000}, "EXPIRATION"),
        ({"type": "BUY_LIMIT", "price": "1.08400", "expiration": 4102444800001}, "EXPIRATION"),
    ],
)
def test_what_is_off_a_grid_or_on_the_wrong_side_is_refused_and_never_rounded(
    tmp_path: Path, changes: dict[str, str | int], code: str
) -> None:
    terms = BrokerTerms(symbols=(SymbolTerms(name="EURUSD", stop_level=10),))
    with TradeDesk(tmp_path, {"MaxLots": 1000}, terms) as desk:
        word = desk.order(Op.OPEN, an_open(**changes))
        assert (word["status"], word["code"], desk.calls()) == ("DENIED", code, 0)


@pytest.mark.parametrize("volume", ["0.105", "0.11", "0.095"])
def test_a_close_of_another_volume_than_there_is_is_refused(desk: TradeDesk, volume: str) -> None:
    ticket = desk.opened(volume="0.10")["ticket"]
    assert desk.order(Op.CLOSE, close(ticket, volume))["code"] == "VOLUME_GRID"


def test_a_frozen_order_is_left_alone(tmp_path: Path) -> None:
    terms = BrokerTerms(symbols=(SymbolTerms(name="EURUSD", freeze_level=20),))
    with TradeDesk(tmp_path, terms=terms) as desk:
        ticket = desk.opened(sl="1.08490")["ticket"]
        calls = desk.calls()
        word = desk.order(Op.MODIFY, modify(ticket, sl="1.08000", old_sl="1.08490"))
        assert (word["status"], word["code"], desk.calls()) == ("DENIED", "STOPS_LEVEL", calls)
