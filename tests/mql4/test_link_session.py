"""The life of the link: HELLO, WELCOME, BEAT, BYE, and everything that dies in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge_core.protocol.keys import Mode
from bridge_core.protocol.operations import Scope
from tests.mql4.hop import INC, Hop, Keyring, attached, wait_for, write_keys
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal
from tests.support.running import free_port

pytestmark = needs_compiler

OTHER_INC = "ffeeddccbbaa9988"


def test_hello_is_repeated_until_it_is_welcomed(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        terminal.start()
        first = hop.expect("HELLO")
        assert hop.expect("HELLO").parts == first.parts
        hop.expect("HELLO")
        assert not [one for one in hop.kept if one.word == "BEAT"]
        assert hop.events == hop.heartbeats == []
        hop.welcome()
        assert hop.expect("BEAT").parts == first.parts


def test_a_beat_says_who_it_is_and_how_it_stands(tmp_path: Path) -> None:
    with attached(tmp_path, Symbols="EURUSD, USDJPY", MaxLots=0.25, MaxPositions=3) as (one, hop):
        one.command("build", 1345)
        beat = hop.expect("BEAT").body
        again = hop.expect("BEAT").body
        assert 900 <= again["clock"] - beat["clock"] <= 1900
        assert beat["started"] <= beat["clock"]
        assert {name: again[name] for name in (
            "build", "version", "dll", "account", "server", "kind", "currency", "leverage",
            "connected", "trade_allowed", "busy", "state", "cause", "kids", "symbols", "max_lots",
            "max_positions", "journal", "seq", "dropped", "note",
        )} == {
            "build": 1345, "version": "5.0", "dll": "4.3.4", "account": 12345678,
            "server": "Broker-Demo", "kind": "demo", "currency": "USD", "leverage": 100,
            "connected": True, "trade_allowed": True, "busy": False, "state": "ACTIVE",
            "cause": "", "kids": list(hop.keys.sets), "symbols": ["EURUSD", "USDJPY"],
            "max_lots": "0.25", "max_positions": 3, "journal": "OK", "seq": 0, "dropped": 0,
            "note": "",
        }  # fmt: skip
        one.command("flag", "connected", 0)
        wait_for(lambda: hop.expect("BEAT").body["connected"] is False, "no beat said it")


@pytest.mark.parametrize(
    ("policy", "told"),
    [(0, "reduce-only after 30 s"), (1, "cancel after 30 s"), (2, "flatten after 30 s")],
)
def test_a_beat_says_how_the_dead_mans_switch_stands(
    tmp_path: Path, policy: int, told: str
) -> None:
    with attached(tmp_path, DeadManSeconds=30, DeadManPolicy=policy) as (_, hop):
        said = hop.expect("BEAT").body["dead_man"]
        assert said == f"{told}: waiting for the first heartbeat"


def test_a_dead_mans_switch_that_is_off_is_said_to_be_off(tmp_path: Path) -> None:
    with attached(tmp_path) as (_, hop):
        assert hop.expect("BEAT").body["dead_man"] == "off"


def test_stopping_says_goodbye(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        instance = hop.instances[-1]
        terminal.stop()
        assert hop.expect("BYE").parts == (instance,)


@pytest.mark.parametrize("reason", [3, 5])
def test_a_new_chart_or_new_inputs_begin_anew_and_leave_nothing_open(
    tmp_path: Path, reason: int
) -> None:
    with attached(tmp_path) as (terminal, hop):
        for _ in range(3):
            terminal.command("reinit", reason)
            assert hop.expect("BYE").parts == (hop.instances[-1],)
            hop.welcome()
        assert len(set(hop.instances)) == len(hop.instances) == 4
        assert terminal.violations == []


def test_another_account_begins_anew(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        terminal.command("account", 777, "Broker-Demo", "demo")
        hop.expect("BYE")
        assert hop.welcome().body["account"] == 777
        terminal.command("account", 12345678, "Broker-Demo", "demo", 10_000)
        hop.expect("BYE")
        assert hop.welcome().body["account"] == 12345678
        wait_for(lambda: hop.expect("BEAT").body["note"] == "", "it is the right account again")


def test_a_server_that_died_is_found_again(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        instance = hop.instances[-1]
        # A socket that is closed takes along what it has not sent: the WELCOME has to be there.
        terminal.wait_for(lambda: any("is up" in line for line in terminal.prints))
        hop.die()
        terminal.wait_for(lambda: any("is down" in line for line in terminal.prints))
        hop.rise()
        assert hop.welcome(OTHER_INC).parts == (instance,)
        terminal.wait_for(lambda: any(OTHER_INC in line for line in terminal.prints))
        assert hop.beat()["instance"] == instance


def test_a_server_that_was_away_for_less_than_a_beat_is_greeted_anew(tmp_path: Path) -> None:
    with attached(tmp_path) as (_terminal, hop):
        hop.expect("BEAT")
        hop.die()
        hop.rise()
        hop.welcome(OTHER_INC)


def test_a_silent_server_is_greeted_again(tmp_path: Path) -> None:
    with attached(tmp_path) as (_terminal, hop):
        hop.greets = False
        hop.expect("HELLO", 5)
        hop.say(f"WELCOME:{INC}")
        hop.expect("BEAT")


def test_no_server_at_all_is_no_reason_to_stop(tmp_path: Path) -> None:
    with Hop() as hop:
        hop.die()
        with attached(tmp_path, hop=hop, up=False) as (terminal, _hop):
            assert terminal.start() == 0
            terminal.wait_for(lambda: any(e["event"] == "comment" for e in terminal.events))
            terminal.stop()
            terminal.start()
            hop.rise()
            hop.welcome()


def look_now(terminal: Terminal) -> None:
    """Let the five seconds pass after which the Advisor looks at its key file again."""
    terminal.command("step_mono", 5_000)


def test_a_changed_key_file_is_adopted(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.keys.sets["late-1"] = hop.keys.new_set(Scope.REDUCE, "late-1")
        del hop.keys.sets["query-1"]
        write_keys(terminal.files, hop.keys.file(hop.endpoint))
        look_now(terminal)
        wait_for(lambda: "late-1" in hop.expect("BEAT").body["kids"], "not adopted")
        assert hop.beat()["kids"] == list(hop.keys.sets)
        assert len(set(hop.instances)) == 1


def test_a_malformed_change_keeps_the_former_keys_and_is_told(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        before = hop.beat()["kids"]
        write_keys(terminal.files, hop.keys.file(hop.endpoint).replace(b"\nend\n", b"\nthe end\n"))
        look_now(terminal)
        alert = hop.event("alert")
        assert (alert.level, alert.code) == ("warning", "EA_KEY_FILE")
        assert "line 13" in alert.message
        hop.expect("BEAT")
        assert hop.beat()["kids"] == before
        (terminal.files / "bridge.key").unlink()
        look_now(terminal)
        assert "missing" in hop.event("alert").message
        write_keys(terminal.files, hop.keys.file(hop.endpoint))
        look_now(terminal)
        terminal.wait_for(lambda: any("read anew" in line for line in terminal.prints))
        hop.beat()


def test_a_changed_endpoint_is_connected_to(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop), Hop(hop.keys) as elsewhere:
        write_keys(terminal.files, hop.keys.file(elsewhere.endpoint))
        look_now(terminal)
        assert elsewhere.welcome().parts == (hop.instances[-1],)
        hop.greets = False
        while hop.read(0.1) is not None:  # what was said before
            pass
        hop.silence("BEAT", 1.5)


def test_changed_curve_keys_are_used(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        keys = Keyring()
        keys.sets = hop.keys.sets
        with Hop(keys, free_port()) as other:
            write_keys(terminal.files, keys.file(other.endpoint))
            look_now(terminal)
            other.welcome()
            assert other.refused == 0


def test_a_key_file_of_another_account_begins_anew(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop), Hop(Keyring(acct="other")) as other:
        write_keys(terminal.files, other.keys.file(other.endpoint))
        look_now(terminal)
        hop.expect("BYE")
        assert other.welcome().parts != (hop.instances[-1],)
        other.beat()  # it has looked at the book: what comes now is news
        terminal.command("manual_open", "EURUSD", "BUY", "0.10")
        other.event("position_opened")


def test_a_stranger_is_not_let_in_and_goes_on_trying(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        own = hop.keys.ea
        hop.keys.ea = Keyring().ea
        write_keys(terminal.files, hop.keys.file(hop.endpoint))
        hop.keys.ea = own
        assert terminal.start() == 0
        wait_for(lambda: hop.refused >= 2, "nobody knocked")
        hop.silence("HELLO")


def test_the_rehearsal_runs_on_a_file_without_order_keys(tmp_path: Path) -> None:
    with attached(tmp_path, hop=Hop(Keyring(mode=Mode.PAPER))) as (terminal, hop):
        assert hop.ask("QUOTE", "EURUSD")["bid"] == "1.08500"
        assert any("mt4 (rehearsal)" in line for line in terminal.prints)


def test_quotes_of_the_allowed_symbols_are_told_when_they_change(tmp_path: Path) -> None:
    with attached(tmp_path, Symbols="EURUSD") as (terminal, hop):
        assert hop.expect("TICK").parts[:3] == ("EURUSD", "1.08500", "1.08512")
        terminal.command("price", "EURUSD", "1.08510", "1.08521")
        tick = hop.expect("TICK")
        assert tick.parts[:3] == ("EURUSD", "1.08510", "1.08521")
        assert int(tick.parts[3]) == hop.ask("QUOTE", "EURUSD")["time_ms"]
        terminal.command("price", "USDJPY", "150.200", "150.212")
        hop.silence("TICK")


def test_an_unknown_symbol_among_the_inputs_is_said_and_does_no_harm(tmp_path: Path) -> None:
    with attached(tmp_path, Symbols="EURUSD,NOSUCH") as (terminal, hop):
        assert any("no symbol NOSUCH" in line for line in terminal.prints)
        assert hop.expect("TICK").parts[0] == "EURUSD"


def cpu_seconds(terminal: Terminal) -> float:
    """Processor time of the terminal so far."""
    fields = Path(f"/proc/{terminal.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="platform: needs /proc")
@pytest.mark.long
def test_an_idle_advisor_uses_little_of_the_processor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.expect("BEAT")
        begun = cpu_seconds(terminal), hop.expect("BEAT").body["clock"]
        for _ in range(5):
            last = hop.expect("BEAT").body["clock"]
        used = cpu_seconds(terminal) - begun[0]
        with capsys.disabled():
            share = 100_000 * used / (last - begun[1])
            print(f"\nidle Advisor, with sanitizers: {share:.1f} % of one processor")
        assert last > begun[1]
