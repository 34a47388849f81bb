"""`ztb doctor` on an account with MetaTrader 5: what the server tells of its terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge_client.cli.checks_mt5 import REMOTE_MT5
from bridge_client.cli.checkup import SAID, Finding, Patient
from bridge_client.cli.doctor import CHECKS
from bridge_client.settings import load_settings
from bridge_client.views import Health, Hop
from bridge_core.protocol.replies import HelloReply
from bridge_core.protocol.views import AccountIdentity
from tests.support.command_line import Ztb

LIVE = (
    "--symbol", "EURUSD", "--max-volume", "0.01", "--backend", "mt5", "--mode", "live",
    "--login", "12345", "--broker-server", "Broker-Demo", "--kind", "demo",
    "--margin-mode", "hedging",
)  # fmt: skip
ROWS = {
    "mt5_build": "5833", "mt5_package": "5.0.6231", "mt5_login": "12345",
    "mt5_server": "Broker-Demo", "mt5_kind": "demo", "mt5_margin_mode": "hedging",
    "mt5_connected": "true", "mt5_trade_allowed": "true", "mt5_tradeapi_disabled": "false",
    "mt5_account_trade_allowed": "true", "mt5_trade_expert": "true", "mt5_offset": "+180 min",
    "mt5_restarts": "0",
}  # fmt: skip
HOP = "server to terminal worker"


class Bridge:
    """A connector that is asked for limits only, and not even that: the rows are here."""


@pytest.fixture
def config(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.chdir(tmp_path)
    assert Ztb(capsys)("init", "gold", *LIVE).code == 0
    return tmp_path / "gold/connector/connector.toml"


def _patient(config: Path, hop: Hop | None = None, **more: Any) -> Patient:
    fields: dict[str, Any] = {
        "incarnation": "0" * 16, "time": 1, "mode": "live", "state": "ACTIVE",
        "account": AccountIdentity(login=12345, server="Broker-Demo", kind="demo", currency="USD",
                                   margin_mode="hedging"),
    }  # fmt: skip
    patient = Patient(config=config, settings=load_settings(config))
    patient.hello = HelloReply(**{**fields, **more})
    patient.bridge = Bridge()  # type: ignore[assignment]
    row = hop or Hop(hop=HOP, state="up", ms=0.8)
    patient.health = Health(state="ACTIVE", hops=(row,))
    patient.told["mt5_"] = dict(ROWS)
    return patient


def _look(name: str, patient: Patient) -> Finding:
    return next(check.look for check in CHECKS if check.id == name)(patient)


def test_all_is_well_at_a_terminal_where_all_is_well(config: Path) -> None:
    patient = _patient(config)
    found = {check.id: check.look(patient) for check in REMOTE_MT5}
    assert {one.state for one in found.values()} == {"ok"}
    assert "0.8 ms" in found["mt5.hop"].finding
    assert "+180 min" in found["mt5.clock"].finding
    assert found["mt5.identity"].finding == "12345@Broker-Demo (demo, hedging)"


@pytest.mark.parametrize(
    ("name", "rows", "state", "says"),
    [
        ("mt5.build", {"mt5_build": "2363"}, "fail", "update itself"),
        ("mt5.build", {"mt5_build": "many"}, "fail", "update itself"),
        ("mt5.identity", {"mt5_login": "12346"}, "fail", "log the terminal in to 12345"),
        ("mt5.identity", {"mt5_server": "Broker-Real"}, "fail", "at Broker-Demo"),
        ("mt5.identity", {"mt5_kind": "real"}, "fail", "--cause IDENTITY"),
        ("mt5.identity", {"mt5_kind": "contest"}, "fail", "--cause IDENTITY"),
        ("mt5.identity", {"mt5_margin_mode": "netting"}, "fail", "--cause IDENTITY"),
        ("mt5.trading", {"mt5_connected": "false"}, "fail", "corner"),
        ("mt5.trading", {"mt5_trade_allowed": "false"}, "fail", "button Algo Trading"),
        ("mt5.trading", {"mt5_tradeapi_disabled": "true"}, "fail", "external Python API"),
        ("mt5.trading", {"mt5_account_trade_allowed": "false"}, "fail", "master password"),
        ("mt5.trading", {"mt5_trade_expert": "false"}, "fail", "ask the broker"),
        ("mt5.clock", {"mt5_offset": ""}, "warn", "utc_offset_minutes"),
        ("mt5.worker", {"mt5_restarts": "3"}, "warn", "Journal"),
    ],
)
def test_each_fault_that_the_server_tells_of_is_found_with_its_fix(
    config: Path, name: str, rows: dict[str, str], state: str, says: str
) -> None:
    patient = _patient(config)
    patient.told["mt5_"] |= rows
    found = _look(name, patient)
    assert found.state == state, found
    assert says in found.fix


@pytest.mark.parametrize("name", [check.id for check in REMOTE_MT5 if check.id != "mt5.hop"])
def test_what_the_server_does_not_tell_is_skipped_and_never_guessed(
    config: Path, name: str
) -> None:
    patient = _patient(config)
    patient.told["mt5_"] = {"mt5_other": "1"}
    assert _look(name, patient).state == "skip"


@pytest.mark.parametrize(
    "name", [check.id for check in REMOTE_MT5 if check.id not in ("mt5.hop", "mt5.clock")]
)
def test_a_terminal_that_was_never_reached_is_no_terminal_in_order(config: Path, name: str) -> None:
    patient = _patient(config)
    patient.told["mt5_"] = dict.fromkeys(ROWS, "")
    found = _look(name, patient)
    assert (found.state, found.finding) == ("skip", "the server has not reached the terminal yet")


@pytest.mark.parametrize(("state", "word"), [("degraded", "warn"), ("down", "fail")])
def test_the_server_s_own_sentence_is_split_into_finding_and_fix(
    config: Path, state: str, word: str
) -> None:
    hop = Hop(hop=HOP, state=state, why="Algo Trading is off: press the Algo Trading button")
    found = _look("mt5.hop", _patient(config, hop))
    assert found == Finding(word, f"{state}: Algo Trading is off", "press the Algo Trading button")
    bare = Hop(hop=HOP, state=state, why="it hangs")
    assert "ztb-server doctor" in _look("mt5.hop", _patient(config, bare)).fix


def test_a_rehearsal_needs_neither_permission_nor_the_pinned_account(config: Path) -> None:
    patient = _patient(config, mode="paper")
    patient.told["mt5_"] |= {"mt5_trade_allowed": "false", "mt5_login": "777",
                    "mt5_tradeapi_disabled": "true"}  # fmt: skip
    assert _look("mt5.trading", patient).state == "ok"
    assert "777@Broker-Demo" in _look("mt5.identity", patient).finding
    patient.told["mt5_"]["mt5_connected"] = "false"
    assert _look("mt5.trading", patient).state == "fail"  # without prices it is no rehearsal


def test_an_account_without_a_terminal_is_told_once(config: Path) -> None:
    patient = _patient(config, Hop(hop="journal", state="up"))
    patient.told["mt5_"] = {}
    found = [check.look(patient) for check in REMOTE_MT5]
    assert {one.state for one in found} == {"skip"}
    assert [one.finding for one in found[1:]] == [SAID] * (len(found) - 1)
    patient.hello = None
    assert {check.look(patient).finding for check in REMOTE_MT5} == {"no authenticated server"}
