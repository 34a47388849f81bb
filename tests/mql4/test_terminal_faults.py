"""What a test scripts to go wrong goes wrong exactly so, and the ledger knows the truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mql4.desk import Desk
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import CommandError, TerminalDiedError

pytestmark = needs_compiler

SEND = ("send", "EURUSD", 0, "0.10", "1.08512", 10, 0, 0, "tag", 77, 0)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    with desk.terminal:
        desk.terminal.start()
        yield desk


def test_scripted_answers_come_in_their_order_and_end(desk: Desk) -> None:
    desk.terminal.command("fail", "OrderSend", "138", "ok", "146")
    errors = [desk.do(*SEND).error for _ in range(4)]
    assert errors == [138, 0, 146, 0]
    assert len(desk.terminal.orders()) == 2


def test_an_order_can_be_executed_though_the_answer_is_an_error(desk: Desk) -> None:
    desk.terminal.command("fail", "OrderSend", "128x")
    assert desk.do(*SEND) == ("-1", 128)
    assert len(desk.terminal.orders()) == 1
    end, told = (
        next(line for line in desk.terminal.ledger() if line["phase"] == phase)
        for phase in ("end", "return")
    )
    assert end["result"]["outcome"] == "EXECUTED"
    assert told["result"]["retcode"] == 128


def test_an_order_can_be_executed_after_its_call_ended(desk: Desk) -> None:
    desk.terminal.command("fail", "OrderSend", "128@400")
    assert desk.do(*SEND) == ("-1", 128)
    assert desk.terminal.orders() == []
    desk.terminal.wait_for(lambda: len(desk.terminal.orders()) == 1)


def test_a_late_execution_survives_the_death_of_the_terminal(desk: Desk) -> None:
    desk.terminal.command("fail", "OrderSend", "128@60000")
    assert desk.do(*SEND).error == 128
    desk.terminal.kill()
    desk.terminal.start()
    assert desk.terminal.orders() == []
    desk.terminal.command("advance", 60_000)
    (row,) = desk.terminal.orders()
    assert (row["magic"], row["comment"], row["lots"]) == (77, "tag", 0.1)


def test_a_slow_call_lets_the_market_move_meanwhile(desk: Desk) -> None:
    desk.terminal.command("slow", "OrderSend", 400)
    start = desk.begin(*SEND)
    desk.terminal.wait_for(lambda: len(desk.terminal.submissions()) == 1)
    desk.terminal.command("price", "EURUSD", "1.09000", "1.09012")
    desk.terminal.wait_for(lambda: any(line.startswith(start) for line in desk.terminal.prints))
    assert desk.terminal.prints[-1] == f"{start}-1 138"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("flag", "connected", 0), 6),
        (("flag", "trade_allowed", 0), 4109),
        (("flag", "expert", 0), 4109),
        (("flag", "account_expert", 0), 4112),
        (("flag", "account_trade", 0), 133),
        (("flag", "busy", 1), 146),
        (("busy", 60_000), 146),
        (("market_open", 0), 132),
    ],
)
def test_a_switch_refuses_trades(desk: Desk, command: tuple[str, ...], error: int) -> None:
    desk.terminal.command(*command)
    assert desk.do(*SEND).error == error
    assert desk.terminal.orders() == []


def test_a_connection_lost_in_flight_is_no_execution(desk: Desk) -> None:
    desk.terminal.command("slow", "OrderSend", 400)
    desk.begin(*SEND)
    desk.terminal.wait_for(lambda: len(desk.terminal.submissions()) == 1)
    desk.terminal.command("flag", "connected", 0)
    desk.terminal.wait_for(lambda: desk.terminal.prints[-1].endswith(" 6"))
    assert desk.terminal.orders() == []


def test_a_terminal_without_its_server_shows_what_it_knew(desk: Desk) -> None:
    known = desk.buy()
    desk.terminal.command("fail", "OrderSend", "128x")
    desk.terminal.command("slow", "OrderSend", 300)
    start = desk.begin(*SEND)
    desk.terminal.wait_for(lambda: len(desk.terminal.submissions()) == 2)
    desk.terminal.command("flag", "connected", 0)
    desk.terminal.wait_for(lambda: any(line.startswith(start) for line in desk.terminal.prints))
    desk.terminal.command("price", "EURUSD", "1.07000", "1.07012")
    assert len(desk.terminal.orders()) == 2  # the broker executed it, and the terminal cannot know
    assert desk.do("totals").value == "1/1"
    assert desk.do("select", known, 1, 0).value.startswith(f"{known},")
    assert desk.do("select", known + 1, 1, 0) == ("none", 4108)
    assert desk.do("quote").value == "1.08500"
    desk.terminal.command("flag", "connected", 1)
    assert desk.do("totals").value == "2/1"
    assert desk.do("quote").value == "1.07000"


def test_get_tick_count_wraps(desk: Desk) -> None:
    now = int(desk.do("clocks").value.split("/")[2])
    desk.terminal.command("step_mono", 2**32 - now - 1)
    assert int(desk.do("clocks").value.split("/")[2]) < 60_000


# Where the process dies, and how many orders the broker has afterwards.
DEATHS = [("before", 0), ("inside", 1), ("after", 1)]


@pytest.mark.parametrize(("moment", "executed"), DEATHS)
def test_a_death_around_a_call_leaves_what_the_broker_did(
    desk: Desk, moment: str, executed: int
) -> None:
    first = desk.buy("0.20")
    desk.terminal.command("die", "OrderSend", moment)
    with pytest.raises(TerminalDiedError):
        desk.do(*SEND)
    desk.terminal.wait_dead()
    assert len(desk.terminal.submissions("OPEN")) == 2
    assert desk.terminal.start() == 0
    rows = desk.terminal.orders()
    assert len(rows) == 1 + executed
    assert rows[0]["ticket"] == first
    assert desk.buy() > max(row["ticket"] for row in rows)  # no ticket comes twice


def test_balance_quotes_and_clocks_survive_a_death(desk: Desk) -> None:
    desk.terminal.command("price", "EURUSD", "1.10000", "1.10012")
    ticket = desk.terminal.command("manual_open", "EURUSD", "BUY", "1")["ticket"]
    desk.terminal.command("price", "EURUSD", "1.10500", "1.10512")
    desk.terminal.command("manual_close", ticket)
    desk.terminal.command("advance", 3_600_000)
    before, now = desk.terminal.command("orders"), desk.terminal.command("stat")
    desk.terminal.kill()
    desk.terminal.start()
    assert desk.terminal.command("orders") == before
    assert desk.terminal.command("stat")["server_ms"] - now["server_ms"] < 60_000
    assert desk.do("send", "EURUSD", 0, "0.1", "1.10512", 0, 0, 0, "", 1, 0).error == 0


def test_what_was_not_flushed_dies_with_the_terminal(desk: Desk) -> None:
    assert desk.do("open", "log.bin").value == "opened"
    assert desk.do("append", "first.").value == "6/6"
    desk.terminal.command("die", "FileFlush", "before")
    with pytest.raises(TerminalDiedError):
        desk.do("append", "second.")
    desk.terminal.wait_dead()
    assert (desk.terminal.files / "log.bin").read_text() == "first."


def test_a_flush_that_was_reached_is_on_the_disk(desk: Desk) -> None:
    desk.do("open", "log.bin")
    desk.terminal.command("die", "FileFlush", "inside", 2)
    assert desk.do("append", "first.").value == "6/6"
    with pytest.raises(TerminalDiedError):
        desk.do("append", "second.")
    desk.terminal.wait_dead()
    assert (desk.terminal.files / "log.bin").read_text() == "first.second."


def test_a_torn_flush_leaves_its_first_bytes(desk: Desk) -> None:
    desk.do("open", "log.bin")
    desk.terminal.command("tear", 3)
    with pytest.raises(TerminalDiedError):
        desk.do("append", "second.")
    desk.terminal.wait_dead()
    assert (desk.terminal.files / "log.bin").read_text() == "sec"


def test_a_full_disk_takes_what_fits_and_shows_it(desk: Desk) -> None:
    desk.do("open", "log.bin")
    desk.terminal.command("disk", "full", 4)
    assert desk.do("append", "second.") == ("7/4", 5016)
    assert (desk.terminal.files / "log.bin").read_text() == "seco"
    desk.terminal.command("disk", "ok")
    assert desk.do("append", "x").error == 0


def test_a_failing_flush_loses_the_buffer(desk: Desk) -> None:
    desk.do("open", "log.bin")
    desk.terminal.command("disk", "flush")
    assert desk.do("append", "second.") == ("7/0", 5016)


def test_a_disk_that_refuses_writes_says_so_at_once(desk: Desk) -> None:
    desk.do("open", "log.bin")
    desk.terminal.command("disk", "write")
    assert desk.do("append", "second.") == ("0/0", 5016)


def test_a_file_that_is_open_is_neither_moved_nor_deleted(desk: Desk) -> None:
    desk.do("open", "log.bin")
    assert desk.do("move", "log.bin", "other.bin").value == "false"
    assert desk.do("erase", "log.bin").value == "false"
    assert (desk.terminal.files / "log.bin").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nonsense",), "unknown command"),
        (("price", "EURUSD", "1.1"), "usage: price SYMBOL BID ASK"),
        (("price", "NOSUCH", "1.1", "1.2"), "no symbol NOSUCH"),
        (("price", "EURUSD", "x", "1.2"), "not a number: x"),
        (("flag", "nosuch", "1"), "no flag nosuch"),
        (("flag", "dlls", "yes"), "neither 0 nor 1"),
        (("fail", "OrderSend", "128y"), "no fault: 128y"),
        (("die", "OrderSend", "sometime"), "no moment"),
        (("manual_close", "4711"), "no open order 4711"),
        (("input", "NoSuch", "1"), "no such input"),
    ],
)
def test_a_bad_command_is_refused_with_its_reason(
    desk: Desk, words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        desk.terminal.command(*words)
    assert desk.do("totals").value == "0/1"
