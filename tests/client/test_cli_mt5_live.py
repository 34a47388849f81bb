"""`ztb` on a MetaTrader 5 account as a user types it: a server process, a stand-in terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mt5.house import House
from tests.support.command_line import ROOT, Ended, Ztb, row_when
from tests.support.crash_matrix import would_go
from tests.support.running import wait_until


class Typed:
    """A house, and `ztb` and `ztb-server` at its two keyboards."""

    def __init__(self, ztb: Ztb, house: House) -> None:
        self._ztb = ztb
        self.house = house

    def __call__(self, *words: object, who: str = "connector") -> Ended:
        config = self.house.folder / who / "connector.toml"
        return self._ztb(*words, "--json", "--config", config)

    def checks(self) -> dict[str, dict[str, Any]]:
        rows = {row["id"]: row for row in self("doctor").json["checks"]}
        return {name: row for name, row in rows.items() if name.startswith("mt5.")}

    def server(self, *words: str) -> tuple[int, str]:
        """Run `ztb-server` to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.mt5.quick_server", *words,
             "--config", str(self.house.folder / "server/server.toml")],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True,
            timeout=240, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def gold(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Typed]:
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    with House(tmp_path) as house:
        yield Typed(Ztb(capsys), house)


def test_a_sound_account_is_all_ok_and_what_the_terminal_forbids_is_named(gold: Typed) -> None:
    rows = gold.checks()
    assert len(rows) == 6
    assert {name: row["state"] for name, row in rows.items() if row["state"] != "ok"} == {}
    assert "+120 min" in rows["mt5.clock"]["finding"]
    hop = next(h for h in gold("health").json["health"]["hops"] if "worker" in h["hop"])
    assert (hop["state"], hop["ms"] is not None) == ("up", True)
    gold.house.terminal.trade_allowed = False
    row_when(gold.checks, "mt5.trading", "Algo Trading")
    refused = gold("order", "buy", "EURUSD", "0.01", "--id", "a1", "--yes")
    assert (refused.code, refused.json["result"]["code"]) == (5, "TRADE_DISABLED")
    assert gold.house.terminal.count("order_send") == 0


def test_a_dead_terminal_is_a_red_hop_with_its_fix(gold: Typed) -> None:
    gold.house.terminal.close()
    assert row_when(gold.checks, "mt5.hop", "terminal")["fix"]
    assert gold("health").code == 2


def test_another_account_in_the_terminal_is_named_and_halts(gold: Typed) -> None:
    gold.house.terminal.login_as(login=99)
    row_when(gold.checks, "mt5.identity", "99@Fake-Demo", "--cause IDENTITY")
    wait_until(lambda: gold("health").code == 5, 15.0, every=0.5)


def test_a_second_server_and_the_server_s_doctor_leave_the_running_one_alone(
    gold: Typed,
) -> None:
    code, said = gold.server("doctor")
    assert (code, "a running server has this terminal" in said) == (0, True), said
    folder = gold.house.folder / "server"
    text = (folder / "server.toml").read_text("utf-8")
    other = folder.parent / "other"
    other.mkdir(mode=0o700)
    (other / "keys").symlink_to(folder / "keys")
    (other / "server.toml").write_text(
        text.replace(f"port = {gold.house.port}", f"port = {gold.house.port + 300}"), "utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.mt5.quick_server", "run",
         "--config", str(other / "server.toml")],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert (done.returncode, "has a server already" in done.stderr) == (3, True), done.stderr
    filled = gold("order", "buy", "EURUSD", "0.01", "--id", "a1", "--yes")
    assert (filled.code, filled.json["result"]["status"]) == (0, "FILLED")
    assert gold("trace", "a1").code == 0


def test_a_rehearsal_fills_on_paper_at_the_terminal_s_price_and_sends_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    with House(tmp_path, mode="paper") as house:
        dry = Typed(Ztb(capsys), house)
        house.terminal.trade_allowed = False  # a rehearsal needs no permission
        assert {row["state"] for row in dry.checks().values()} == {"ok"}
        with house.connector() as bridge:  # which ticks tell
            wait_until(lambda: bridge.get_symbol("EURUSD").session == "OPEN")
            wait_until(lambda: would_go(bridge), 20)
        done = dry("order", "buy", "EURUSD", "0.01", "--id", "a1", "--yes")
        result = done.json["result"]
        assert (done.code, result["status"], str(result["price"])) == (0, "FILLED", "1.08512"), done
        assert house.terminal.count("order_send") == 0
        assert house.terminal.count("order_check") == 0
