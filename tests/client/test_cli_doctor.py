"""`ztb doctor` finds each planted fault, under a stable id, with one fix that mends it."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge_client.cli.checks_ea import REMOTE_EA
from bridge_client.cli.checks_mt5 import REMOTE_MT5
from bridge_client.cli.checks_remote import REMOTE
from bridge_client.cli.checkup import Patient, fail, good, skip, warn
from bridge_client.cli.doctor import CHECKS, exit_of
from bridge_client.settings import load_settings
from bridge_client.views import Health, Hop
from bridge_client.witness import Offset
from bridge_core.host.bundles import load_bundle
from bridge_core.protocol.replies import HelloReply
from bridge_core.protocol.views import AccountIdentity, CauseView
from tests.support.command_line import Ztb

Row = dict[str, Any]


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ztb:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    monkeypatch.setattr("bridge_client.cli.checks_remote._CONNECT_S", 0.2)
    return Ztb(capsys)


@pytest.fixture
def config(ztb: Ztb, tmp_path: Path) -> Path:
    words = ("--symbol", "EURUSD", "--max-volume", "0.01")
    assert ztb("init", "demo", *words).code == 0
    return tmp_path / "demo/connector/connector.toml"


def _look(ztb: Ztb, *words: object) -> tuple[int, dict[str, Row]]:
    ended = ztb("doctor", "--json", *words)
    return ended.code, {row["id"]: row for row in ended.json["checks"]}


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_every_id_is_unique_and_there_are_enough_of_them() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids) >= 14
    assert all(re.fullmatch(r"[a-z]+[0-9]?(\.[a-z]+)?", name) for name in ids)


def test_offline_the_local_checks_are_all_ok_and_the_server_is_down(ztb: Ztb, config: Path) -> None:
    code, rows = _look(ztb, "--config", config)
    assert code == 2
    remote = {check.id for check in (*REMOTE, *REMOTE_EA, *REMOTE_MT5)}
    assert {row["state"] for name, row in rows.items() if name not in remote} == {"ok"}
    assert rows["server.port"]["state"] == "fail"
    assert "ztb-server run" in rows["server.port"]["fix"]


def test_without_a_configuration_it_could_not_check_and_names_init(ztb: Ztb) -> None:
    code, rows = _look(ztb)
    assert code == 3
    assert rows["config.found"]["state"] == "fail"
    assert "ztb init" in rows["config.found"]["fix"]
    assert rows["python"]["state"] == "ok"
    assert rows["keys.sound"]["state"] == "skip"


def _key(config: Path) -> Path:
    return config.parent / "keys/connector.key"


_FAULTS: list[tuple[str, Callable[[Path], object], str, str]] = [
    ("misspelt key", lambda c: _edit(c, "deviation", "devation"), "config.valid", "deviation"),
    ("wrong value", lambda c: _edit(c, "deviation = 20", "deviation = 1.5"), "config.valid", ""),
    ("bad address", lambda c: _edit(c, "tcp://", "http://"), "config.valid", "tcp://HOST:PORT"),
    ("no key file", lambda c: _key(c).unlink(), "keys.private", "not exist"),
    ("damaged", lambda c: _key(c).write_text("{}"), "keys.sound", ""),
    ("other mode", lambda c: _edit(c, 'mode = "paper"', 'mode = "live"'), "keys.match", "paper"),
    ("other account", lambda c: _edit(c, '"demo"', '"prod"'), "keys.match", "demo"),
]


@pytest.mark.parametrize(
    ("plant", "name", "says"), [row[1:] for row in _FAULTS], ids=[row[0] for row in _FAULTS]
)
def test_a_fault_in_file_or_keys_is_found_and_ends_with_3(
    ztb: Ztb, config: Path, plant: Callable[[Path], object], name: str, says: str
) -> None:
    plant(config)
    code, rows = _look(ztb, "--config", config)
    assert code == 3
    assert rows[name]["state"] == "fail"
    assert says in rows[name]["finding"]
    assert rows[name]["fix"]


@pytest.mark.skipif(os.name != "posix", reason="platform: POSIX modes")
@pytest.mark.parametrize(
    ("what", "mode", "wanted"),
    [("keys/connector.key", 0o644, (3, "fail")), ("keys", 0o777, (3, "fail")),
     ("keys", 0o755, (2, "warn"))],
)  # fmt: skip
def test_the_fix_of_an_open_key_file_or_folder_mends_it(
    ztb: Ztb, config: Path, what: str, mode: int, wanted: tuple[int, str]
) -> None:
    (config.parent / what).chmod(mode)
    code, rows = _look(ztb, "--config", config)
    assert (code, rows["keys.private"]["state"]) == wanted
    subprocess.run(shlex.split(rows["keys.private"]["fix"]), check=True)
    code, rows = _look(ztb, "--config", config)
    assert code == 2
    assert rows["keys.private"]["state"] in ("ok", "warn")


@pytest.mark.skipif(os.name != "posix", reason="platform: links")
def test_a_linked_key_file_is_found(ztb: Ztb, config: Path) -> None:
    path = config.parent / "keys/connector.key"
    path.rename(path.with_name("real.key"))
    path.symlink_to(path.with_name("real.key"))
    assert _look(ztb, "--config", config)[1]["keys.private"]["state"] == "fail"


def test_a_weak_key_is_found_and_never_shown(ztb: Ztb, config: Path) -> None:
    path = config.parent / "keys/connector.key"
    weak = "ab" * 32
    _edit(path, load_bundle(path).root, weak)
    ended = ztb("doctor", "--json", "--config", config)
    rows = {row["id"]: row for row in ended.json["checks"]}
    assert (ended.code, rows["keys.sound"]["state"]) == (3, "fail")
    assert weak not in ended.out + ended.err


def test_a_symbol_without_limits_is_a_warning(ztb: Ztb, config: Path) -> None:
    _edit(config, '["EURUSD"]', '["EURUSD", "GBPUSD"]')
    row = _look(ztb, "--config", config)[1]["config.limits"]
    assert (row["state"], "GBPUSD" in row["finding"]) == ("warn", True)


def test_the_operators_bundle_in_daily_use_is_a_warning(ztb: Ztb, config: Path) -> None:
    operator = config.parents[1] / "operator/connector.toml"
    assert _look(ztb, "--config", operator)[1]["keys.scope"]["state"] == "warn"


def test_a_file_in_the_place_of_the_state_folder_is_found(ztb: Ztb, config: Path) -> None:
    (config.parent / "state").write_text("")
    row = _look(ztb, "--config", config)[1]["state.writable"]
    assert (row["state"], "no folder" in row["finding"]) == ("fail", True)


def test_a_full_disk_is_found_before_the_journal_notices(
    ztb: Ztb, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1024

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    assert _look(ztb, "--config", config)[1]["disk.space"]["state"] == "fail"


def test_the_durability_probe_leaves_nothing_behind(ztb: Ztb, config: Path) -> None:
    before = sorted(config.parent.rglob("*"))
    _look(ztb, "--config", config)
    assert sorted(config.parent.rglob("*")) == before


def test_a_check_that_breaks_is_itself_a_finding(
    ztb: Ztb, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("bridge_client.cli.checks_local.open_database", broken)
    code, rows = _look(ztb, "--config", config)
    assert code == 2
    assert "Input/output error" in rows["state.durable"]["finding"]


def test_people_read_one_line_for_each_check_and_the_fix_below_it(ztb: Ztb, config: Path) -> None:
    ended = ztb("doctor", "--config", config)
    lines = ended.out.splitlines()
    for check in CHECKS:
        assert sum(f" {check.id} " in line for line in lines) == 1
    fixes = [line for line in lines if line.lstrip().startswith("fix: ")]
    assert len(fixes) == 1
    assert lines.index(fixes[0]) == next(i for i, at in enumerate(lines) if "server.port" in at) + 1


# --- what the server says ------------------------------------------------------------------------

_ID = AccountIdentity(login=1, server="x", kind="paper", currency="USD", margin_mode="hedging")


class Bridge:
    """What the remote checks ask a connector."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def health(self) -> Health:
        return self._health


def _patient(config: Path, hello: HelloReply, health: Health) -> Patient:
    patient = Patient(config=config, settings=load_settings(config), hello=hello)
    patient.bridge = Bridge(health)  # type: ignore[assignment]
    return patient


def _hello(**more: Any) -> HelloReply:
    fields: Row = {
        "incarnation": "0" * 16, "time": 1, "mode": "paper", "account": _ID, "state": "ACTIVE",
        "protocols": [5],
    }  # fmt: skip
    return HelloReply(**{**fields, **more})


def _check(name: str) -> Callable[[Patient], Any]:
    return next(check.look for check in REMOTE if check.id == name)


_OPERATOR = CauseView(cause="OPERATOR", kind="latch", effect="HALTED", ends="ztb resume …")


@pytest.mark.parametrize(
    ("name", "hello", "state"),
    [
        ("server.protocol", {"protocols": [6]}, "fail"),
        ("server.protocol", {"protocols": [4, 5]}, "ok"),
        ("server.mode", {"mode": "live"}, "fail"),
        ("server.mode", {"account": AccountIdentity(
            login=1, server="x", kind="real", currency="USD", margin_mode="netting")}, "warn"),
        ("server.state", {"state": "HALTED", "causes": [_OPERATOR]}, "fail"),
        ("server.state", {"state": "REDUCE_ONLY", "causes": [_OPERATOR]}, "warn"),
        ("server.state", {}, "ok"),
    ],
)  # fmt: skip
def test_what_hello_tells_is_judged(
    config: Path, name: str, hello: dict[str, Any], state: str
) -> None:
    found = _check(name)(_patient(config, _hello(**hello), Health(state="ACTIVE")))
    assert found.state == state
    assert bool(found.fix) == (state != "ok")


@pytest.mark.parametrize(
    ("offset", "state"),
    [(Offset(0, 1), "ok"), (Offset(-600, 1), "warn"), (Offset(1_500, 10), "fail"),
     (Offset(1_005, 10), "warn"), (Offset(-5_000, 3), "fail")],
)  # fmt: skip
def test_the_clock_is_judged_with_its_uncertainty(
    config: Path, monkeypatch: pytest.MonkeyPatch, offset: Offset, state: str
) -> None:
    monkeypatch.setattr(Bridge, "clock_offset", offset, raising=False)
    found = _check("clock.offset")(_patient(config, _hello(), Health(state="ACTIVE")))
    assert found.state == state
    assert f"{offset.offset_ms:+d} ms" in found.finding


@pytest.mark.parametrize(("hop", "state"), [("up", "ok"), ("degraded", "warn"), ("down", "fail")])
def test_the_terminals_hop_is_judged(config: Path, hop: str, state: str) -> None:
    health = Health(state="ACTIVE", hops=(Hop(hop="server to terminal", state=hop, why="x"),))
    assert _check("server.terminal")(_patient(config, _hello(), health)).state == state


@pytest.mark.parametrize(
    ("rows", "state", "wanted"),
    [
        ([("a", good("x")), ("b", skip("x"))], "ACTIVE", 0),
        ([("a", good("x")), ("b", warn("x", "y"))], "ACTIVE", 1),
        ([("server.port", fail("x", "y")), ("b", warn("x", "y"))], "", 2),
        ([("keys.private", fail("x", "y"))], "HALTED", 3),
        ([("server.state", fail("x", "y"))], "HALTED", 5),
    ],
)
def test_the_exit_code_is_the_worst_of_the_column(rows: Any, state: str, wanted: int) -> None:
    assert exit_of(rows, state) == wanted


@pytest.mark.skipif(os.name != "posix", reason="platform: POSIX modes")
def test_open_keys_are_closed_when_asked_to_and_the_configuration_s_own_folder_is_not(
    ztb: Ztb, config: Path
) -> None:
    folder = config.parent
    key = folder / "keys/connector.key"
    for path, mode in ((key, 0o644), (key.parent, 0o755), (folder, 0o755)):
        path.chmod(mode)
    before = _look(ztb, "--config", config)[1]
    assert before["keys.private"]["state"] == "fail"
    assert "keys.mended" not in before
    rows = _look(ztb, "--fix-permissions", "--config", config)[1]
    assert str(key) in rows["keys.mended"]["finding"]
    assert (rows["keys.mended"]["state"], rows["keys.private"]["state"]) == ("ok", "ok")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (key, key.parent, folder)]
    assert modes == [0o600, 0o700, 0o755]


@pytest.mark.skipif(os.name != "posix", reason="platform: POSIX modes")
def test_keys_that_cannot_be_mended_are_told_with_what_can(ztb: Ztb, config: Path) -> None:
    key = config.parent / "keys/connector.key"
    key.rename(key.with_name("real.key"))
    key.symlink_to(key.with_name("real.key"))
    row = _look(ztb, "--fix-permissions", "--config", config)[1]["keys.mended"]
    assert (row["state"], row["fix"]) == ("fail", "put the file itself there")
