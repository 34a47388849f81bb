"""What a strategy's author uses: the key file's reader, and the fake EA as a command."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from bridge_core.host.ea_keys import parse_ea_keys as product_reader
from bridge_core.protocol.keys import Mode
from bridge_core.protocol.operations import Op
from tests.support.ea_account import EaServer, make_ea_account
from tests.support.ea_keys import EaKeyError, ea_key_text, parse_ea_keys
from tests.support.fake_ea_relay import House
from tests.support.running import Account, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def text() -> str:
    return ea_key_text(House(9_999).ea_keys())


def test_the_reader_and_the_products_reader_take_the_same_file(text: str) -> None:
    ours, theirs = parse_ea_keys(text.encode()), product_reader(text.encode())
    assert ea_key_text(ours) == text
    assert {one.kid for one in theirs.sets} == set(ours.sets)
    assert theirs.event_ea == ours.event_key.hex()
    for one in theirs.sets:
        order = ours.sets[one.kid].order
        assert one.signs == ("" if order is None else order.hex())


def test_lines_may_end_as_on_windows(text: str) -> None:
    assert parse_ea_keys(text.replace("\n", "\r\n").encode()) == parse_ea_keys(text.encode())


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("ztb-ea/1", "ztb-ea/2", 1), ("account demo", "account  demo", 2),
        ("mode live", "mode paper", 9), ("mode live", "mode demo", 3),
        ("127.0.0.1", "10.0.0.1", 4), (":9999", ":99999", 4), ("server_public ", "server ", 5),
        ("event event-1 ", "event Event ", 8), ("set trade-1 ", "set reduce-1 ", 11),
        ("end\n", "", 13), ("end\n", "end\nmore\n", 14), ("set query-1 query - ", "set query-1 "
         "query " + "ab" * 32 + " ", 9), ("set trade-1 trade", "set trade-1 trader", 11),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_by_its_line(text: str, old: str, new: str, line: int) -> None:
    assert old in text
    with pytest.raises(EaKeyError) as caught:
        parse_ea_keys(text.replace(old, new, 1).encode())
    assert caught.value.line == line


def test_a_weak_key_and_a_byte_beyond_ascii_are_refused(text: str) -> None:
    key = text.split("event event-1 ")[1][:64]
    with pytest.raises(EaKeyError, match="weak"):
        parse_ea_keys(text.replace(key, "7" * 64).encode())
    with pytest.raises(EaKeyError, match="ASCII"):
        parse_ea_keys(text.encode() + b"\xff")


def test_no_refusal_and_no_repr_shows_a_key(text: str) -> None:
    keys = parse_ea_keys(text.encode())
    shown = repr(keys) + repr(keys.sets) + repr(keys.curve)
    with pytest.raises(EaKeyError) as caught:
        parse_ea_keys(text.replace("set trade-1 trade", "set trade-1 trader").encode())
    for one in keys.sets.values():
        if one.order is not None:
            assert one.order.hex() not in shown + str(caught.value)


def test_a_paper_file_holds_no_order_keys() -> None:
    house = House(9_999, Mode.PAPER)
    paper = ea_key_text(house.ea_keys())
    keys = parse_ea_keys(paper.encode())
    assert all(one.order is None and one.reply is None for one in keys.sets.values())


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return make_ea_account(tmp_path)


@pytest.fixture
def command(account: Account) -> Iterator[subprocess.Popen[str]]:
    words = ["--account", str(account.folder), "--price", "EURUSD", "1.08500", "1.08512",
             "--die", "after_call"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fake_ea", *words], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def test_the_command_trades_moves_prices_dies_on_request_and_starts_again(
    account: Account, command: subprocess.Popen[str]
) -> None:
    with EaServer(account) as server:
        assert str(account.port + 2) in said(command.stdout)
        client = server.ready()
        opened = client.open(volume="0.02")
        assert "after_call" in said(command.stdout)
        rid = opened.token.rid
        wait_until(lambda: client.status(rid).subject().status == "FILLED", 15)
        assert command.stdin is not None
        command.stdin.write("nonsense\nEURUSD 1.09000 1.09012\n")
        command.stdin.flush()
        assert "nonsense" in said(command.stderr)
        wait_until(lambda: client.query(Op.GET_QUOTE).quotes[0].bid == "1.09000", 12)
        ledger = account.folder / "ea" / "fake" / "ledger.jsonl"
        assert ledger.read_text("utf-8").count('"begin"') == 1
        command.send_signal(signal.SIGINT)
        assert command.wait(10) == 0
