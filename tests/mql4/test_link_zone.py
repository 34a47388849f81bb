"""What leaves the Advisor is UTC, whatever clock the broker keeps; what comes in is read as UTC."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from tests.mql4.hop import Hop, attached, learn_zone, wait_for
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import BrokerTerms, Terminal

pytestmark = needs_compiler

HOUR_MS: Final = 3_600_000
ZONES: Final = (2, 3, -5, 0, 5.5)
NEAR_MS: Final = 60_000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _is_now(ms: int) -> bool:
    return abs(ms - _now_ms()) < NEAR_MS


def _opened(terminal: Terminal, *words: str) -> int:
    ticket: int = terminal.command("manual_open", *words)["ticket"]
    return ticket


@pytest.mark.parametrize("hours", ZONES)
def test_every_time_that_is_told_is_utc(tmp_path: Path, hours: float) -> None:
    terms = BrokerTerms(zone_hours=hours)
    with attached(tmp_path, terms=terms) as (terminal, hop):
        assert learn_zone(terminal, hop) == terms.zone_ms
        said = [one for one in terminal.prints if "the broker's clock is" in one]
        assert len(said) == 1
        hop.expect("BEAT")
        told = [one for one in hop.kept if one.word == "TICK" and one.parts[0] == "EURUSD"]
        assert _is_now(int(told[-1].parts[3]))  # the quote is told again, now that it can be
        ticket = _opened(terminal, "EURUSD", "BUY", "0.10")
        pending = _opened(terminal, "EURUSD", "BUY_LIMIT", "0.10", "1.08000")
        assert _is_now(hop.event("position_opened", ticket=ticket).time)
        assert _is_now(hop.event("order_placed", ticket=pending).time)
        assert _is_now(hop.ask("POSITIONS", 0)["positions"][0]["opened_ms"])
        assert _is_now(hop.ask("ORDERS", 0)["orders"][0]["placed_ms"])
        assert _is_now(hop.ask("QUOTE", "EURUSD")["time_ms"])
        assert _is_now(hop.ask("ACCOUNT")["market_ms"])
        assert _is_now(hop.beat()["market_ms"])
        terminal.command("price", "EURUSD", "1.08502", "1.08514")
        while (tick := hop.expect("TICK")).parts[1] != "1.08502":
            pass
        assert _is_now(int(tick.parts[3]))
        terminal.command("manual_close", ticket)
        assert _is_now(hop.event("position_closed", ticket=ticket).time)
        assert _is_now(hop.event("account_update").time)


@pytest.mark.parametrize("hours", ZONES)
def test_history_is_asked_for_and_told_in_utc(tmp_path: Path, hours: float) -> None:
    with attached(tmp_path, terms=BrokerTerms(zone_hours=hours)) as (terminal, hop):
        learn_zone(terminal, hop)
        ticket = _opened(terminal, "EURUSD", "BUY", "0.10")
        terminal.command("manual_close", ticket)
        hop.event("position_closed", ticket=ticket)
        (row,) = hop.ask("HISTORY", _now_ms() - NEAR_MS, _now_ms() + NEAR_MS, 0)["closed"]
        assert row["ticket"] == ticket
        at = row["closed_ms"]
        assert _is_now(at)
        assert _is_now(row["opened_ms"])
        assert hop.ask("HISTORY", at, at, 0)["total"] == 1
        assert hop.ask("HISTORY", at + 1000, 0, 0)["total"] == 0
        assert hop.ask("HISTORY", 1, at - 1000, 0)["total"] == 1  # the deposit of long ago
        assert hop.ask("HISTORY", 1, 1, 0)["total"] == 0  # not taken for "no end"


def test_until_the_zone_is_known_the_beat_says_so(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        assert "zone_ms" not in hop.beat()
        assert _is_now(hop.beat()["market_ms"] - terminal.terms.zone_ms)
        learn_zone(terminal, hop)
        assert _is_now(hop.beat()["market_ms"])


def test_a_restart_on_a_weekend_knows_the_zone(tmp_path: Path) -> None:
    hop = Hop()
    with attached(tmp_path, hop=hop, terms=BrokerTerms(zone_hours=-5)) as (terminal, _hop):
        learn_zone(terminal, hop)
        terminal.kill()
        assert terminal.start() == 0
        hop.welcome()
        assert hop.beat()["zone_ms"] == -5 * HOUR_MS
        assert not [one for one in terminal.prints if "ZONE" in one]


def test_without_a_connection_no_quote_is_believed(tmp_path: Path) -> None:
    with attached(tmp_path, terms=BrokerTerms(zone_hours=3)) as (terminal, hop):
        terminal.command("flag", "connected", 0)
        for _ in range(3):
            terminal.command("advance", 1_100)
            terminal.command("price", "EURUSD", "1.08500", "1.08512")
            assert "zone_ms" not in hop.beat()
        terminal.command("flag", "connected", 1)
        assert learn_zone(terminal, hop) == 3 * HOUR_MS


def test_another_account_does_not_teach_its_brokers_zone(tmp_path: Path) -> None:
    with attached(tmp_path, terms=BrokerTerms(zone_hours=2), ExpectedServer="Other-Demo") as (
        terminal,
        hop,
    ):
        for _ in range(3):
            terminal.command("advance", 1_100)
            terminal.command("price", "EURUSD", "1.08500", "1.08512")
            assert "zone_ms" not in hop.beat()


def test_a_changed_zone_is_an_alert_and_the_times_follow(tmp_path: Path) -> None:
    with attached(tmp_path, terms=BrokerTerms(zone_hours=2)) as (terminal, hop):
        learn_zone(terminal, hop)
        terminal.command("zone", 10_800)

        def changed() -> bool:
            terminal.command("price", "EURUSD", "1.08500", "1.08512")
            return bool(hop.beat()["zone_ms"] == 3 * HOUR_MS)

        wait_for(changed, "the zone does not change")
        alert = hop.event("alert", code="ZONE")
        assert "from UTC+02:00 to UTC+03:00" in alert.message
        assert _is_now(alert.time)
        ticket = _opened(terminal, "EURUSD", "BUY", "0.10")
        assert _is_now(hop.event("position_opened", ticket=ticket).time)
