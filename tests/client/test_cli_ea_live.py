"""`ztb` on an EA account as a user types it: a real server process and a simulated EA."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge_core.host.bundles import load_bundle
from bridge_core.host.ea_keys import load_ea_keys
from tests.support.command_line import ROOT, Ended, Ztb, row_when
from tests.support.ea_keys import read_ea_keys
from tests.support.fake_ea import FakeEa
from tests.support.fake_ea_broker import Broker
from tests.support.fake_ea_checks import EaInputs
from tests.support.fake_ea_market import Terms
from tests.support.running import free_port

_START_S = 20.0
LIVE = (
    "--mode", "live", "--login", "22437", "--broker-server", "Fake-Demo", "--kind", "demo",
)  # fmt: skip


class House:
    """An account made by `ztb init --backend ea`, its server process and its EA."""

    def __init__(self, ztb: Ztb, folder: Path, *, live: bool, max_lots: str) -> None:
        self._ztb = ztb
        self.folder = folder / "gold"
        made = ztb(
            "init", "gold", "--symbol", "EURUSD", "--max-volume", "0.02", "--backend", "ea",
            "--port", free_port(), "--out", folder, *(LIVE if live else ()),
        )  # fmt: skip
        assert made.code == 0, made.err
        self.added = ztb("keys", "add", "look", "--scope", "query", "--account", self.folder)
        self.broker = Broker(folder / "broker", Terms())
        self.broker.price("EURUSD", "1.08500", "1.08512")
        inputs = EaInputs(max_lots=max_lots, max_positions=1, account=22437, server="Fake-Demo")
        keys = read_ea_keys(self.folder / "ea/bridge.key")
        self.ea = FakeEa(keys, folder / "terminal", self.broker, inputs=inputs)

    def __call__(self, *words: object, who: str = "connector") -> Ended:
        return self._ztb(*words, "--json", "--config", self.folder / who / "connector.toml")

    def checks(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self("doctor").json["checks"]}


@contextmanager
def _running(ztb: Ztb, folder: Path, *, live: bool, max_lots: str = "0.02") -> Iterator[House]:
    house = House(ztb, folder, live=live, max_lots=max_lots)
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge_server", "run",
         "--config", str(house.folder / "server/server.toml")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        with house.ea:
            house.ea.wait_welcome(_START_S)
            until = time.monotonic() + _START_S
            while house("health").code != 0:
                assert time.monotonic() < until, "the server does not take entries"
            yield house
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_START_S)


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ztb:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    return Ztb(capsys)


@pytest.fixture
def gold(ztb: Ztb, tmp_path: Path) -> Iterator[House]:
    with _running(ztb, tmp_path, live=True) as house:
        yield house


def _steps(traced: Ended, hop: str) -> list[dict[str, Any]]:
    return [step for step in traced.json["steps"] if step["hop"] == hop]


def test_an_order_is_filled_by_the_ea_and_its_trace_shows_the_verified_record(gold: House) -> None:
    done = gold("order", "buy", "EURUSD", "0.01", "--sl", "1.08000", "--id", "a1", "--yes")
    assert (done.code, done.json["result"]["status"]) == (0, "FILLED")
    traced = gold("trace", "a1")
    assert traced.code == 0
    assert traced.json["ea_record"] == "verified"
    (word,) = _steps(traced, "EA")
    kid = load_bundle(gold.folder / "connector/keys/connector.key").kid
    ticket = traced.json["order"]["ticket"]
    assert word["what"].startswith(f"attests OPEN FILLED ticket={ticket} volume=0.01 price=1.08512")
    assert word["what"].endswith(f"key {kid}")
    assert word["evidence"] == "EA's record, verified"
    hops = [step["hop"] for step in traced.json["steps"]]
    assert hops.index("executor") < hops.index("EA") < len(hops) - 1
    assert hops[-1] == "connector"


def test_a_key_set_that_cannot_check_the_record_says_unverified(gold: House) -> None:
    assert gold("order", "buy", "EURUSD", "0.01", "--id", "a1", "--yes").code == 0
    seen = gold("trace", "a1", who="look")
    assert seen.json["ea_record"] == "unverified"
    assert {step["evidence"] for step in _steps(seen, "EA")} == {"EA's record, unverified"}


def test_the_eas_own_cap_refuses_what_everybody_else_let_pass_and_attests_it(
    ztb: Ztb, tmp_path: Path
) -> None:
    with _running(ztb, tmp_path, live=True, max_lots="0.01") as gold:
        caps = gold.checks()["ea.caps"]
        assert (caps["state"], "MaxLots = 0.02" in caps["fix"]) == ("warn", True)
        denied = gold("order", "buy", "EURUSD", "0.02", "--id", "a1", "--yes")
        assert (denied.code, denied.json["result"]["code"]) == (5, "MAX_VOLUME")
        traced = gold("trace", "a1")
        assert traced.json["ea_record"] == "verified"
        (word,) = _steps(traced, "EA")
        assert word["what"].startswith("attests OPEN DENIED MAX_VOLUME")
        assert gold.broker.begun() == 0


def test_a_sound_account_is_all_ok_and_a_dead_ea_is_named_with_its_fix(gold: House) -> None:
    rows = gold.checks()
    ours = {name: row for name, row in rows.items() if name.startswith("ea.")}
    assert len(ours) == 10
    assert {row["state"] for row in ours.values()} == {"ok"}, ours
    hop = next(h for h in gold("health").json["health"]["hops"] if h["hop"] == "server to EA")
    assert hop["state"] == "up"
    assert hop["ms"] is not None
    assert gold("ping", "--count", "3").json["hops"]["server to EA"]["median_ms"] > 0
    gold.ea.kill()
    row_when(gold.checks, "ea.hop", "silent", "BridgeEA")
    assert gold("health").code == 2


def test_what_the_terminal_forbids_is_found_by_the_doctor(gold: House) -> None:
    gold.broker.trade_allowed = False
    row_when(gold.checks, "ea.trading", "AutoTrading")
    gold.broker.connected = False
    row_when(gold.checks, "ea.trading", "connection")


def test_a_rehearsal_fills_on_paper_and_the_ea_carries_out_nothing(
    ztb: Ztb, tmp_path: Path
) -> None:
    with _running(ztb, tmp_path, live=False) as dry:
        done = dry("order", "buy", "EURUSD", "0.01", "--id", "a1", "--yes")
        assert (done.code, done.json["result"]["status"]) == (0, "FILLED")
        traced = dry("trace", "a1")
        assert traced.json["ea_record"] == ""
        assert not _steps(traced, "EA")
        assert dry.broker.begun() == 0
        ours = {n: row["state"] for n, row in dry.checks().items() if n.startswith("ea.")}
        assert set(ours.values()) == {"ok"}, ours
        assert all(not one.keys for one in load_ea_keys(
            dry.folder / "ea/bridge.key").key_sets().values())  # fmt: skip
