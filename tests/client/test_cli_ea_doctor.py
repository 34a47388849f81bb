"""`ztb doctor`, `health`, `ping` and `trace` on an EA account: what they see of the EA's hop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bridge_client.cli.checks_ea import LOCAL_EA, REMOTE_EA
from bridge_client.cli.checkup import Finding, Patient
from bridge_client.cli.doctor import CHECKS
from bridge_client.cli.health import _hops
from bridge_client.cli.main import main
from bridge_client.cli.trace import steps_of, word_of
from bridge_client.settings import load_settings
from bridge_client.views import Health, Hop
from bridge_core.host.bundles import load_bundle
from bridge_core.host.ea_keys import load_ea_keys, replace_ea_keys
from bridge_core.protocol.replies import Child, HelloReply, OrderView
from bridge_core.protocol.token import EaRecord
from bridge_core.protocol.views import AccountIdentity
from tests.support.command_line import Ztb

ACCOUNT = ("--symbol", "EURUSD", "--max-volume", "0.02", "--backend", "ea")
LIVE = (
    *ACCOUNT, "--mode", "live", "--login", "12345", "--broker-server", "Broker-Demo",
    "--kind", "demo",
)  # fmt: skip
ROWS = {
    "ea_max_lots": "0.02", "ea_max_positions": "1", "ea_symbols": "EURUSD,US 500",
    "ea_state": "ACTIVE", "ea_build": "1420", "ea_version": "5.0", "ea_dll": "4.3.4",
    "ea_login": "12345", "ea_server": "Broker-Demo", "ea_kind": "demo", "ea_connected": "true",
    "ea_trade_allowed": "true", "ea_clock_ms": "-12", "ea_journal": "OK", "ea_note": "",
}  # fmt: skip


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ztb:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    monkeypatch.setattr("bridge_client.cli.checks_remote._CONNECT_S", 0.2)
    return Ztb(capsys)


@pytest.fixture
def live(ztb: Ztb, tmp_path: Path) -> Path:
    assert ztb("init", "gold", *LIVE).code == 0
    return tmp_path / "gold"


class Bridge:
    """A connector that is asked for limits only."""


def _patient(account: Path, **more: Any) -> Patient:
    config = account / "connector/connector.toml"
    fields: dict[str, Any] = {
        "incarnation": "0" * 16, "time": 1, "mode": "live", "state": "ACTIVE", "attests": True,
        "account": AccountIdentity(login=12345, server="Broker-Demo", kind="demo", currency="USD",
                                   margin_mode="hedging"),
    }  # fmt: skip
    patient = Patient(config=config, settings=load_settings(config))
    patient.bundle = load_bundle(account / "connector/keys/connector.key")
    patient.hello = HelloReply(**{**fields, **more})
    patient.bridge = Bridge()  # type: ignore[assignment]
    patient.health = Health(state="ACTIVE", hops=(Hop(hop="server to EA", state="up", ms=0.8),))
    patient.told["ea_"] = {**ROWS, "ea_kids": f"o1-0000,{patient.bundle.kid}"}
    return patient


def _look(name: str, patient: Patient) -> Finding:
    return next(check.look for check in CHECKS if check.id == name)(patient)


# --- offline -----------------------------------------------------------------------------------


def test_a_fresh_account_is_sound_and_in_step(ztb: Ztb, live: Path) -> None:
    ended = ztb("doctor", "--json", "--config", live / "connector/connector.toml")
    rows = {row["id"]: row for row in ended.json["checks"]}
    assert (rows["ea.file"]["state"], rows["ea.sync"]["state"]) == ("ok", "ok")
    assert "2 key sets, verifies and attests" in rows["ea.file"]["finding"]
    assert {rows[check.id]["state"] for check in REMOTE_EA} == {"skip"}


def _cut(account: Path) -> None:
    path = account / "ea/bridge.key"
    path.write_bytes(path.read_bytes()[:-5])


def _without(side: str) -> Callable[[Path], None]:
    def plant(account: Path) -> None:
        path = account / "ea/bridge.key"
        kid = load_bundle(account / side / "keys/connector.key").kid
        replace_ea_keys(path, load_ea_keys(path).without_set(kid))

    return plant


def _of_another_account(account: Path) -> None:
    other = account.parent / "other"
    (account / "ea/bridge.key").write_bytes((other / "ea/bridge.key").read_bytes())


def _of_another_root(account: Path) -> None:
    path = account / "ea/bridge.key"
    trade, operator = (one.signs for one in load_ea_keys(path).sets)
    path.write_text(path.read_text().replace(trade, operator))


def _other_port(account: Path) -> None:
    path = account / "server/server.toml"
    path.write_text(path.read_text().replace("port = 55", "port = 56"))


def _unknown_to_the_server(account: Path) -> None:
    kid = load_bundle(account / "operator/keys/connector.key").kid
    (account / f"server/keys/{kid}.key").unlink()


@pytest.mark.parametrize(
    ("plant", "wanted", "says", "fix"),
    [
        (_cut, "ea.file fail", "line 11: the file ends too early", "MQL4/Files"),
        (_without("connector"), "ea.file fail", "does not know key id t1-", "ztb keys add"),
        (_of_another_root, "ea.file fail", "other keys under key id t1-", "ea/ folder"),
        (_of_another_account, "ea.file fail", "is for other (live)", "ea/ folder"),
        (_without("operator"), "ea.sync fail", "does not know o1-", "ztb keys revoke"),
        (_unknown_to_the_server, "ea.sync warn", "still takes o1-", "ztb keys revoke"),
        (_of_another_account, "ea.sync fail", "lets in another EA", "same `ztb init`"),
        (_other_port, "ea.sync fail", "looks for the server on port", "set port = 55"),
    ],
)
def test_each_planted_fault_of_the_file_is_found_with_its_fix(
    live: Path, plant: Callable[[Path], None], wanted: str, says: str, fix: str
) -> None:
    assert main(["init", "other", *LIVE]) == 0
    plant(live)
    name, state = wanted.split()
    found = _look(name, _patient(live))
    assert found.state == state, found
    assert says in found.finding
    assert fix in found.fix


def test_away_from_the_ea_and_the_server_nothing_is_claimed(live: Path) -> None:
    (live / "ea").rename(live.parent / "ea")
    assert _look("ea.file", _patient(live)).state == "skip"
    (live.parent / "ea").rename(live / "ea")
    (live / "server").rename(live.parent / "server")
    assert _look("ea.sync", _patient(live)).state == "skip"
    assert _look("ea.file", _patient(live)).state == "ok"


def test_a_rehearsals_file_says_that_it_can_carry_out_nothing(ztb: Ztb, tmp_path: Path) -> None:
    assert ztb("init", "dry", *ACCOUNT).code == 0
    found = _look("ea.file", _patient(tmp_path / "dry", mode="paper", attests=False))
    assert found.state == "ok"
    assert "can carry out no order" in found.finding


# --- online ------------------------------------------------------------------------------------


def test_an_ea_that_is_well_is_ok_in_every_check(live: Path) -> None:
    patient = _patient(live)
    assert {_look(check.id, patient).state for check in (*LOCAL_EA, *REMOTE_EA)} == {"ok"}


@pytest.mark.parametrize(
    ("name", "rows", "state", "says"),
    [
        ("ea.build", {"ea_build": "1161"}, "fail", "1162"),
        ("ea.build", {"ea_build": "x"}, "fail", "1162"),
        ("ea.build", {"ea_dll": "4.3.3"}, "fail", "libzmq.dll"),
        ("ea.build", {"ea_dll": "4.10.0"}, "ok", ""),
        ("ea.build", {"ea_dll": "unknown"}, "fail", "libzmq.dll"),
        ("ea.identity", {"ea_login": "12346"}, "fail", "12345@Broker-Demo (demo)"),
        ("ea.identity", {"ea_server": "Broker-Real"}, "fail", "12345@Broker-Demo (demo)"),
        ("ea.identity", {"ea_kind": "real"}, "fail", "12345@Broker-Demo (demo)"),
        ("ea.trading", {"ea_connected": "false"}, "fail", "corner"),
        ("ea.trading", {"ea_trade_allowed": "false"}, "fail", "AutoTrading"),
        ("ea.caps", {"ea_max_lots": "0.01"}, "warn", "MaxLots = 0.02"),
        ("ea.caps", {"ea_max_positions": "0"}, "warn", "MaxPositions = 1"),
        ("ea.caps", {"ea_symbols": "GBPUSD"}, "fail", "Symbols = EURUSD,GBPUSD"),
        ("ea.clock", {"ea_clock_ms": "-501"}, "warn", "w32tm"),
        ("ea.clock", {"ea_clock_ms": "1001"}, "fail", "w32tm"),
        ("ea.keys", {"ea_kids": "o1-0000"}, "fail", "copy ea/bridge.key"),
        ("ea.state", {"ea_state": "HALTED OPERATOR"}, "warn", "ztb resume"),
        ("ea.state", {"ea_journal": "FULL"}, "fail", "disk"),
        ("ea.state", {"ea_note": "DLL"}, "warn", "in the terminal"),
    ],
)
def test_each_fault_that_the_ea_tells_of_is_found_with_its_fix(
    live: Path, name: str, rows: dict[str, str], state: str, says: str
) -> None:
    patient = _patient(live)
    patient.told["ea_"] |= rows
    found = _look(name, patient)
    assert found.state == state, found
    assert says in found.fix
    assert bool(found.fix) == (state != "ok")


@pytest.mark.parametrize("name", [check.id for check in REMOTE_EA if check.id != "ea.hop"])
def test_what_the_server_does_not_tell_is_skipped_and_never_guessed(live: Path, name: str) -> None:
    patient = _patient(live)
    patient.told["ea_"] = {"ea_other": "1"}
    assert _look(name, patient).state == "skip"
    patient.told["ea_"] = dict.fromkeys((*ROWS, "ea_kids"), "")
    silent = _look(name, patient)
    assert (silent.state, silent.finding) == ("skip", "the server has not heard the EA")


@pytest.mark.parametrize(("hop", "state"), [("up", "ok"), ("degraded", "warn"), ("down", "fail")])
def test_the_hop_is_judged_with_its_reason_and_its_time(live: Path, hop: str, state: str) -> None:
    patient = _patient(live)
    row = Hop(hop="server to EA", state=hop, why="no beat for 4 s", ms=0.8)
    patient.health = Health(state="ACTIVE", hops=(row,))
    found = _look("ea.hop", patient)
    assert found.state == state
    assert ("0.8 ms" if hop == "up" else "no beat for 4 s") in found.finding


@pytest.mark.parametrize("health", [None, Health(state="OFFLINE", why="RATE: op=HEALTH by=server")])
@pytest.mark.parametrize("name", ["ea.hop", "mt5.hop", "orders.unfinished"])
def test_without_an_answer_to_health_nothing_is_said_to_be_absent(
    live: Path, health: Health | None, name: str
) -> None:
    patient = _patient(live)
    patient.health = health
    found = _look(name, patient)
    assert found.state == "skip"
    assert "did not answer HEALTH" in found.finding


def test_an_unfinished_order_is_told_and_nothing_of_the_servers_without_its_answer(
    live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = SimpleNamespace(client_order_id="a1")
    monkeypatch.setattr("bridge_client.cli.checks_remote.unfinished", lambda _folder: [row])
    patient = _patient(live)
    for hello, why in ((patient.hello, "did not answer HEALTH"), (None, "no authenticated server")):
        patient.hello, patient.health = hello, None
        found = _look("orders.unfinished", patient)
        assert (found.state, found.fix) == ("warn", "ztb wait a1")
        assert found.finding.startswith("1 unfinished here; ")
        assert why in found.finding


def test_an_account_without_an_ea_or_a_terminal_of_metatrader_5_says_so(live: Path) -> None:
    patient = _patient(live)
    patient.health = Health(state="ACTIVE", hops=(Hop(hop="connector to server", state="up"),))
    for name in ("ea.hop", "mt5.hop"):
        found = _look(name, patient)
        assert (found.state, "serves this account" in found.finding) == ("skip", True)


def test_a_rehearsal_needs_neither_caps_nor_permission_nor_the_pinned_account(live: Path) -> None:
    patient = _patient(live, attests=False, mode="paper")
    patient.told["ea_"] |= {"ea_trade_allowed": "false", "ea_max_lots": "0.01", "ea_login": "777",
                   "ea_note": "ExpectedAccount is 0"}  # fmt: skip
    for name in ("ea.trading", "ea.caps", "ea.identity", "ea.state"):
        assert _look(name, patient).state == "ok", name


def test_health_shows_the_hops_last_round_trip() -> None:
    hops = (Hop(hop="server to EA", state="up", ms=0.84), Hop(hop="journal", state="up"))
    rows = _hops(Health(state="ACTIVE", hops=hops))
    assert [row[:3] for row in rows] == [("server to EA", "up", "0.8 ms"), ("journal", "up", "")]


# --- trace -------------------------------------------------------------------------------------

RID = "0f1e2d3c4b5a69788796a5b4c3d2e1ff"


def _record(**more: Any) -> str:
    fields: dict[str, Any] = {
        "kid": "t1-ab12", "acct": "gold", "rid": RID, "op": "OPEN", "order_hash": "a" * 64,
        "status": "FILLED", "code": "-", "ticket": 77, "volume": "0.01", "price": "1.085",
        "sl": "0", "tp": "0", "time": 1767225600040,
    }  # fmt: skip
    return EaRecord(**{**fields, **more}).text().decode()


def _view(**more: Any) -> OrderView:
    return OrderView(rid=RID, op="OPEN", status="FILLED", final=True, **more)


@pytest.mark.parametrize(
    ("view", "attests", "word"),
    [
        (_view(ea=_record(), attested=True, evidence="EA"), True, "verified"),
        (_view(ea=_record(), attested=False, evidence="UNVERIFIED"), True, "unverified"),
        (_view(attested=False), True, "unattested"),
        (_view(ea=_record(), attested=False), True, "unattested"),
        (_view(attested=True), False, ""),
    ],
)
def test_how_far_the_ea_vouches_is_one_word(view: OrderView, attests: bool, word: str) -> None:
    assert word_of(view, attests=attests) == word


def test_the_eas_step_shows_what_it_attests_when_and_how_we_know() -> None:
    view = _view(ea=_record(), attested=True, evidence="EA")
    (step,) = [step for step in steps_of([], view, [], "verified") if step.hop == "EA"]
    assert step.time == 1767225600040
    assert step.what == "attests OPEN FILLED ticket=77 volume=0.01 price=1.085 key t1-ab12"
    assert step.evidence == "EA's record, verified"


def test_each_child_of_a_flatten_has_its_own_word() -> None:
    children = [
        Child(ticket=n, rid=RID, status="FILLED", op="CLOSE",
              ea=_record(op="CLOSE", ticket=n, time=1767225600040 + n))
        for n in (5, 6)
    ]  # fmt: skip
    view = OrderView(rid=RID, op="FLATTEN", status="DONE", children=children)
    told = [step.what for step in steps_of([], view, [], "verified") if step.hop == "EA"]
    assert [what.split()[3] for what in told] == ["ticket=5", "ticket=6"]


def test_a_damaged_record_is_no_step() -> None:
    assert not [s for s in steps_of([], _view(ea="EA_REC:5:x"), [], "unattested") if s.hop == "EA"]
