"""Before anything is opened: what is wrong with the installation, and what mends itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mql4.hop import Hop, attached, wait_for, write_keys
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal

pytestmark = needs_compiler

INIT_FAILED = 1
OWNER = "ztb.owner.12345678"
BEATS = "ztb.beats.12345678"


def said(terminal: Terminal, text: str) -> int:
    """How many printed lines hold a text."""
    return sum(text in line for line in terminal.prints)


def refused(terminal: Terminal, *texts: str) -> None:
    """Assert that the Advisor did not start, and that its one line says all of this."""
    assert terminal.start() == INIT_FAILED
    lines = [line for line in terminal.prints if "not started" in line]
    assert len(lines) == 1, terminal.prints
    for text in texts:
        assert text in lines[0]


def test_it_starts_and_says_for_which_account(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        assert said(terminal, "started for mt4 with 4 key sets, libzmq 4.3.4") == 1
        assert hop.beat()["note"] == ""


def test_the_strategy_tester_is_refused(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        terminal.command("flag", "tester", 1)
        refused(terminal, "tester", "live chart")
        hop.silence("HELLO")


def test_forbidden_dlls_are_named_and_none_is_called(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        terminal.command("flag", "dlls", 0)
        refused(terminal, "DLL imports are not allowed", "tick")
        hop.silence("HELLO")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (("version", 4, 3, 3), "libzmq.dll is version 4.3.3, 4.3.4 or newer is needed"),
        (("version", 3, 9, 9), "libzmq.dll is version 3.9.9"),
        (("curve", 0), "built without CURVE"),
    ],
)
def test_a_libzmq_that_cannot_do_it_is_refused(
    tmp_path: Path, fault: tuple[str | int, ...], text: str
) -> None:
    with attached(tmp_path, up=False) as (terminal, _hop):
        terminal.command("dll", *fault)
        refused(terminal, text, "replace MQL4")


@pytest.mark.parametrize("version", [(4, 3, 4), (4, 4, 0), (5, 0, 0)])
def test_a_newer_libzmq_is_taken(tmp_path: Path, version: tuple[int, int, int]) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        terminal.command("dll", "version", *version)
        assert terminal.start() == 0
        assert hop.welcome().body["dll"] == ".".join(map(str, version))


def test_without_the_dll_the_terminal_does_not_run_it(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        terminal.command("dll", "missing", 1)
        assert terminal.start() == -1
        assert [text for text in terminal.criticals if "libzmq.dll" in text]
        terminal.criticals.clear()
        hop.silence("HELLO")


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, _hop):
        (terminal.files / "bridge.key").unlink()
        refused(terminal, "bridge.key", "missing", "copy")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, b"ztb-ea/2"),
        (2, b"account a b"),
        (3, b"mode demo"),
        (5, b"server_public abc"),
        (8, b"event ev-1 00"),
        (9, b"set trade-1 trader - -"),
    ],
)
def test_a_malformed_key_file_is_refused_by_its_line(
    tmp_path: Path, line: int, text: bytes
) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        lines = hop.keys.file(hop.endpoint).split(b"\n")
        write_keys(terminal.files, b"\n".join([*lines[: line - 1], text, *lines[line:]]))
        refused(terminal, f"line {line}:", "copy")


def test_a_key_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        write_keys(terminal.files, hop.keys.file(hop.endpoint)[:-4])
        refused(terminal, "line 13", "copy")


def test_algo_trading_that_is_off_is_waited_for_and_said_once(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        terminal.command("flag", "trade_allowed", 0)
        assert terminal.start() == 0
        hop.welcome()
        for _ in range(3):
            note = hop.expect("BEAT").body["note"]
        assert "AutoTrading" in note
        assert hop.beat()["trade_allowed"] is False
        assert said(terminal, "AutoTrading") == 1
        terminal.command("flag", "trade_allowed", 1)
        terminal.wait_for(lambda: said(terminal, "settled") == 1)
        assert hop.beat()["note"] == ""


def test_without_an_expected_account_it_says_that_it_will_trade_nothing(tmp_path: Path) -> None:
    with attached(tmp_path, ExpectedAccount=0) as (terminal, hop):
        terminal.wait_for(lambda: said(terminal, "ExpectedAccount is 0") == 1)
        assert "ExpectedAccount is 0" in hop.beat()["note"]


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"ExpectedAccount": 999}, "wanted 999, this is 12345678"),
        ({"ExpectedServer": "Other-Live"}, "wanted Other-Live, this is Broker-Demo"),
    ],
)
def test_another_account_is_named_and_its_book_is_not_shown(
    tmp_path: Path, over: dict[str, Any], text: str
) -> None:
    with attached(tmp_path, **over) as (terminal, hop):
        terminal.wait_for(lambda: said(terminal, text) == 1)
        assert hop.beat()["account"] == 12345678
        for question in ("ACCOUNT",), ("POSITIONS", 0), ("HISTORY", 0, 0, 0), ("QUOTE", "EURUSD"):
            assert hop.ask(*question) == {"error": "ACCOUNT_MISMATCH"}
        terminal.command("manual_open", "EURUSD", "BUY", "0.10")
        hop.expect("BEAT")
        hop.expect("BEAT")
        assert hop.events == []
        assert not [one for one in hop.kept if one.word == "TICK"]


def test_a_second_advisor_of_the_same_account_does_nothing_and_says_so(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        terminal.command("gv", OWNER, 7)
        terminal.command("gv", BEATS, 1)
        assert terminal.start() == 0
        terminal.wait_for(lambda: said(terminal, "another Advisor") == 1)
        hop.silence("HELLO", 1.5)
        assert said(terminal, "another Advisor") == 1
        terminal.command("gv", OWNER, 0)  # the other one was removed
        hop.welcome()


def test_an_advisor_that_died_in_its_terminal_is_succeeded_after_its_silence(
    tmp_path: Path,
) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        terminal.command("gv", OWNER, 7)
        terminal.command("gv", BEATS, 1)
        terminal.start()
        hop.silence("HELLO", 1.2)
        terminal.command("advance", 60_000)  # it may be inside a broker call
        hop.silence("HELLO", 1.2)
        terminal.command("advance", 40_000)
        hop.welcome()


def test_an_advisor_that_lost_the_lock_stops_serving(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        terminal.command("gv", OWNER, 7)
        hop.expect("BYE")
        terminal.wait_for(lambda: said(terminal, "taken over") == 1)
        hop.silence("HELLO", 1.2)


def test_the_lock_is_left_when_it_stops(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        assert terminal.command("gv", OWNER)["value"] != 0
        terminal.command("deinit", 1)
        hop.expect("BYE")
        assert terminal.command("gv", OWNER)["value"] == 0


def test_nothing_it_prints_holds_a_key(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        write_keys(terminal.files, hop.keys.file(hop.endpoint)[:-9])
        wait_for(lambda: said(terminal, "former keys stay") == 1, "the bad file was not noticed")
        hop.expect("BEAT")
        text = "\n".join(terminal.prints)
        secrets = [hop.keys.event_key().hex(), hop.keys.ea.secret.decode()]
        secrets += [key.hex() for one in hop.keys.sets.values() for key in one.keys.values()]
        assert not [secret for secret in secrets if secret in text]


def test_a_server_with_another_key_never_hears_a_word(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop), Hop() as impostor:
        write_keys(terminal.files, hop.keys.file(impostor.endpoint))
        assert terminal.start() == 0
        impostor.silence("HELLO", 1.0)
