"""The test kit itself: how it starts, paces, judges and ends, with pytest and without."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from math import sin
from pathlib import Path
from typing import Any

import pytest

from bridge_client import ConfigError, Status, Tick
from bridge_client.demo import moving_average
from bridge_client.house import free_port
from bridge_client.testing import (
    BrokenPromiseError,
    BrokerAct,
    PaperBridge,
    conditions,
    paper_bridge,
)
from bridge_client.testing.conditions import ACCOUNT, wanted
from bridge_client.testing.judgement import check_promises, signed_in
from bridge_core.host.ledger import encode_line, read_ledger
from bridge_core.risk.policy import SymbolLimits

ROOT = Path(__file__).resolve().parents[2]
MINUTE_MS = 60_000


def _run(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # As a user's project does: no settings of ours, every warning an error.
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=cwd, env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def _pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
                "--rootdir", str(folder), *words, cwd=folder)  # fmt: skip


# --- what it costs, and what it leaves ------------------------------------------------------------


def test_a_project_that_does_not_use_the_kit_loads_nothing_of_it() -> None:
    code = (
        "import sys, bridge_client.testing.plugin as plugin; plugin.paper_bridge; "
        "heavy = {'zmq', 'msgspec', 'cryptography', 'sqlite3'} & set(sys.modules); "
        "mine = [m for m in sys.modules if m.startswith('bridge_')]; "
        "print(sorted(heavy), sorted(mine))"
    )
    done = _run("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("] ")[0] == "[", "something heavy is loaded at the start of pytest"
    assert "bridge_client.connector" not in done.stdout


def test_the_connector_needs_no_pytest(tmp_path: Path) -> None:
    (tmp_path / "pytest.py").write_text("raise ImportError('not installed')\n", encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from bridge_client.testing import paper_bridge, PaperBridge; print(PaperBridge.__name__)"
    )
    done = _run("-c", code)
    assert done.stdout.strip() == "PaperBridge", done.stderr


def test_without_pytest_it_is_a_context_manager_that_leaves_nothing_behind() -> None:
    code = """
import threading
from bridge_client.testing import paper_bridge
with paper_bridge(prices=[1.1, 1.2], pace=100) as bridge:
    assert bridge.buy("EURUSD", 0.01).status == "FILLED"
    feed = bridge.events("EURUSD", timeout=0.1)
    next(feed)
    pid = bridge._house._process.pid
bridge.close()  # again: nothing happens
assert not bridge.folder.exists()
print(pid, threading.active_count())
"""
    done = _run("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    pid, threads = done.stdout.split()
    assert threads == "1"
    assert not _lives(int(pid))


@pytest.mark.long
def test_a_bridge_that_nobody_closes_takes_its_server_with_it() -> None:
    code = (
        "from bridge_client.testing import paper_bridge; b = paper_bridge(); "
        "print(b._house._process.pid, b.folder, flush=True); raise SystemExit"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    pid, folder = int(done.stdout.split()[0]), Path(done.stdout.split()[1])
    until = time.monotonic() + 5
    while _lives(pid):
        assert time.monotonic() < until, "the server outlived the test process"
        time.sleep(0.02)
    assert not folder.exists()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.long
def test_two_at_a_time_do_not_meet(tmp_path: Path) -> None:
    opened: list[PaperBridge] = []

    def start(number: int) -> None:
        opened.append(paper_bridge(prices=[1 + number], folder=tmp_path / f"{number}"))

    starts = [threading.Thread(target=start, args=(number,)) for number in (1, 2, 3)]
    for one in starts:
        one.start()
    for one in starts:
        one.join()
    try:
        assert len({bridge._house.port for bridge in opened}) == 3
        assert {round(bridge.get_quote("EURUSD").ask) for bridge in opened} == {2, 3, 4}
    finally:
        for bridge in opened:
            bridge.close()
    assert all(bridge.folder.exists() for bridge in opened), "a folder of the author's is kept"


def test_ports_that_were_taken_meanwhile_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        while True:  # three free ports, of which somebody else then takes the first
            port = free_port()
            with suppress(OSError):
                other.bind(("127.0.0.1", port))
                break
        other.listen()
        ports = [port]
        monkeypatch.setattr(conditions, "free_port", lambda: ports.pop() if ports else free_port())
        with paper_bridge([1.1]) as bridge:
            assert bridge._house.port != port
            assert bridge.buy("EURUSD", 0.01).status is Status.FILLED
    assert not ports


# --- what it is asked for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"limit": {}}, "did you mean limits"),
        ({"limits": {"max_volum": 1}}, "did you mean max_volume"),
        ({"limits": {"size": 1}}, "known: max_volume, max_positions"),
        ({"risk": {"max_daily_los": 1}}, "did you mean max_daily_loss"),
        ({"rates": {"entry_per_": 1}}, "did you mean entry_per_s"),
        ({"pace": "tick"}, "prices a second"),
        ({"pace": 0}, "prices a second"),
        ({"pace": True}, "prices a second"),
        ({"patience": -1}, "seconds, 0 or more"),
        ({"spread": 1.5}, "a whole number"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_before_anything_starts(
    given: dict[str, Any], hint: str
) -> None:
    with pytest.raises(ConfigError, match=hint):
        paper_bridge([1.1], **given)


def test_the_limits_are_those_of_the_server() -> None:
    known = dict.fromkeys(SymbolLimits.__struct_fields__, 1)
    assert set(wanted({"limits": known}).limits) == set(known)


def test_what_the_server_says_of_its_settings_reaches_the_author(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key `paper\.leverag`; did you mean `leverage`"):
        paper_bridge([1.1], paper={"leverag": 30}, folder=tmp_path)


def test_limits_balance_and_terms_are_in_force_on_both_sides() -> None:
    with paper_bridge(
        [2000.0], symbol="XAUUSD", spread=3, balance=500, ttl_ms=1000,
        limits={"max_volume": 0.05, "max_positions": 3, "max_orders": 1},
        paper={"leverage": 30, "symbols": {"XAUUSD": {"digits": 2, "contract_size": 100}}},
    ) as bridge:  # fmt: skip
        account, gold = bridge.get_account(), bridge.get_symbol("XAUUSD")
        assert (account.balance, account.leverage, gold.digits) == (500.0, 30, 2)
        quote = bridge.get_quote("XAUUSD")
        assert (quote.bid, quote.ask) == (1999.99, 2000.02)
        assert bridge.buy("XAUUSD", 0.06).by == "connector"
        assert bridge.buy_limit("XAUUSD", 0.01, price=1900).status is Status.WORKING
        assert str(bridge.buy_limit("XAUUSD", 0.01, price=1900).code) == "MAX_ORDERS"
        assert bridge.buy("XAUUSD", 0.05).status is Status.FILLED


# --- pace -----------------------------------------------------------------------------------------


def test_a_strategy_meets_every_price_once_and_in_order_and_then_it_ends() -> None:
    prices = [1.1 + n / 1000 for n in range(30)]
    with paper_bridge(prices) as bridge:
        seen: list[Tick] = []
        for event in bridge.events("EURUSD", timeout=5):
            if isinstance(event, Tick):
                seen.append(event)
                if len(seen) == 3:
                    assert bridge.get_quote("EURUSD").time == event.time, "it waits for us"
                    time.sleep(0.05)
                    assert bridge.get_quote("EURUSD").time == event.time
                if len(seen) == 5:
                    bridge.gap(0.1)  # its own tick, and all later prices
        assert [round((t.bid + t.ask) / 2, 5) for t in seen[:4]] == [1.1, 1.101, 1.102, 1.103]
        assert len(seen) == 31
        assert round(seen[-1].bid + 0.00005, 5) == 1.229
        assert not any(tick.missed for tick in seen)
        last = list(bridge.events("EURUSD"))
        assert [tick.time for tick in last if isinstance(tick, Tick)] == [seen[-1].time]


@pytest.mark.long
def test_two_symbols_come_in_step_and_a_restart_in_between_ends_in_a_resync() -> None:
    with paper_bridge({"EURUSD": [1.1] * 6, "USDJPY": [150] * 6}) as bridge:
        bridge.before(4, bridge.restart_server)
        kinds = [
            event.symbol if isinstance(event, Tick) else type(event).__name__
            for event in bridge.events("EURUSD", "USDJPY", timeout=5)
        ]
        assert kinds[:4] == ["EURUSD", "USDJPY"] * 2
        assert "Resync" in kinds
        assert kinds[-4:] == ["EURUSD", "USDJPY"] * 2
        assert bridge.get_quote("USDJPY").time == bridge.get_quote("EURUSD").time


@pytest.mark.long
def test_a_run_of_a_strategy_is_the_same_each_time() -> None:
    prices = [1.1 + 0.01 * sin(n / 12) for n in range(150)]
    runs = []
    for _ in range(2):
        with paper_bridge(prices, spread=7) as bridge:
            moving_average.run(bridge, "EURUSD")
            runs.append(
                [
                    (act.op, act.type, act.volume, act.sl, act.filled_price, act.market_time)
                    for act in bridge.ledger()
                ]
            )
    assert len(runs[0]) > 10
    assert runs[0] == runs[1]


def test_prices_may_come_by_themselves_or_only_when_asked() -> None:
    with paper_bridge([1.1, 1.2, 1.3], pace=50) as bridge:
        until = time.monotonic() + 5
        while bridge.get_quote("EURUSD").ask < 1.3:
            assert time.monotonic() < until
            time.sleep(0.01)
    with paper_bridge([1.1, 1.2, 1.3], pace="step") as bridge:
        feed = bridge.events("EURUSD", timeout=0.1)
        assert feed.ready()
        assert next(feed) is None, "nobody has asked for a price"
        assert bridge.advance(2).ask == 1.30005
        ticks = [next(feed), next(feed)]
        assert [tick.ask for tick in ticks if isinstance(tick, Tick)] == [1.20005, 1.30005]


# --- the judgement --------------------------------------------------------------------------------


def _forge(bridge: PaperBridge, **changes: Any) -> None:
    """Write into the broker's ledger what a broken bridge would have made it do."""
    begun = next(one for one in read_ledger(bridge._house.ledger) if one.phase == "begin")
    made = json.loads(encode_line(begun)) | {"n": 2} | changes
    with bridge._house.ledger.open("ab") as file:
        file.write(json.dumps(made).encode() + b"\n")


def test_a_broken_promise_is_found_and_said_and_keeps_the_files() -> None:
    bridge = paper_bridge([1.1])
    bridge.buy("EURUSD", 0.01, client_order_id="the-order")
    (act,) = bridge.ledger()
    assert isinstance(act, BrokerAct)
    assert (act.client_order_id, act.op, act.filled_price) == ("the-order", "OPEN", 1.10005)
    ledger, rows = bridge._house.ledger, signed_in(bridge.config.parent)
    honest = ledger.read_bytes()
    check_promises(ledger, rows, ACCOUNT)
    for changes, said in (
        ({}, "S1 at most once: held 1 of 2 times; broken by order the-order"),
        ({"wall_ms": 2**42}, "S2 never late: held 1 of 2"),
        ({"fields": {"symbol": "EURUSD", "volume": "9"}}, "S3 never altered: held 1 of 2"),
        ({"comment": "Zaaaaaaaaaaa", "magic": 7}, "S5 never forged: held 1 of 2 .*n=2"),
    ):
        ledger.write_bytes(honest)
        _forge(bridge, **changes)
        with pytest.raises(BrokenPromiseError, match=said):
            check_promises(ledger, rows, ACCOUNT)
    assert [one.client_order_id for one in bridge.ledger()] == ["the-order", ""]
    with pytest.raises(BrokenPromiseError):
        bridge.close()
    assert ledger.exists()
    shutil.rmtree(bridge.folder)


def test_a_failure_of_the_test_s_own_comes_first(tmp_path: Path) -> None:
    def strategy(bridge: PaperBridge) -> None:
        bridge.buy("EURUSD", 0.01)
        _forge(bridge)
        raise ValueError("the strategy's own")

    with (
        pytest.raises(ValueError, match="own") as caught,
        paper_bridge([1.1], folder=tmp_path) as bridge,
    ):
        strategy(bridge)
    assert any("S1 at most once" in note for note in caught.value.__notes__)


# --- the plugin -----------------------------------------------------------------------------------

USERS_TEST = """
import json

def test_fine(paper_bridge, tmp_path_factory):
    first, second = paper_bridge([1.1]), paper_bridge(prices=[1.2, 1.3])
    assert first.buy("EURUSD", 0.01).status == "FILLED"
    assert second.step().ask == 1.30005
    assert str(tmp_path_factory.getbasetemp()) in str(first.folder)

def test_broken(paper_bridge):
    bridge = paper_bridge(prices=[1.1])
    bridge.buy("EURUSD", 0.01)
    ledger = bridge._house.ledger
    line = json.loads(ledger.read_text().splitlines()[1])
    ledger.write_text(ledger.read_text() + json.dumps(line | {"n": 2}) + "\\n")
"""


def test_in_pytest_the_fixture_is_there_and_a_broken_promise_is_an_error_of_the_test(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_mine.py").write_text(USERS_TEST, encoding="utf-8")
    done = _pytest(tmp_path)
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "ERROR test_mine.py::test_broken" in done.stdout
    assert "S1 at most once: held 1 of 2 times" in done.stdout
