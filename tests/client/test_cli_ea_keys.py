"""`ztb keys` on an EA account: the server's folder and the EA's file never drift apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge_client.cli import bundling
from bridge_core.host.bundles import load_bundle, load_server_keys, load_verify_sets
from bridge_core.host.ea_keys import EaKeys, load_ea_keys, parse_ea_keys
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import KeyState
from bridge_core.protocol.operations import Purpose, Scope
from tests.support.command_line import Ztb

ACCOUNT = ("--symbol", "EURUSD", "--max-volume", "0.01", "--backend", "ea")
LIVE = (
    *ACCOUNT, "--mode", "live", "--login", "12345", "--broker-server", "Broker-Demo",
    "--kind", "demo",
)  # fmt: skip
_LATER = "2099-01-01"


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ztb:
    monkeypatch.chdir(tmp_path)
    return Ztb(capsys)


@pytest.fixture
def live(ztb: Ztb, tmp_path: Path) -> Path:
    assert ztb("init", "gold", *LIVE).code == 0
    return tmp_path / "gold"


def _ea(account: Path) -> EaKeys:
    return load_ea_keys(account / "ea/bridge.key")


def _server_kids(account: Path) -> dict[str, KeyState]:
    own = load_server_keys(account / "server/keys/server.key")
    return {k: one.state for k, one in load_verify_sets(account / "server/keys", own).items()}


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _kid(account: Path, side: str = "connector") -> str:
    return load_bundle(account / side / "keys/connector.key").kid


# --- add -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["trade", "reduce", "query"])
def test_a_further_set_is_known_to_the_server_and_to_the_ea(
    ztb: Ztb, live: Path, scope: str
) -> None:
    before = _ea(live)
    ended = ztb("keys", "add", "phone", "--scope", scope, "--account", live, "--json")
    assert ended.code == 0
    bundle, ea = load_bundle(live / "phone/keys/connector.key"), _ea(live)
    assert ea.sets[:-1] == before.sets
    assert ended.json["ea_file"] == str(live / "ea/bridge.key")
    held = ea.key_sets()[bundle.kid]
    wanted = {Purpose.REPLY_EA} | ({Purpose.ORDER_EA} if scope != "query" else set())
    assert dict(held.keys) == {purpose: bundle.key_set().keys[purpose] for purpose in wanted}
    assert held.scope is Scope(scope)
    assert set(_server_kids(live)) == set(ea.kids())
    assert bundle.event_keys()[Purpose.EVENT_EA] == ea.event_key()


def test_keys_add_says_to_copy_the_eas_file_again(ztb: Ztb, live: Path) -> None:
    ended = ztb("keys", "add", "phone", "--scope", "reduce", "--account", live)
    assert f"copy {live / 'ea/bridge.key'} into MQL4/Files again" in ended.err
    assert "restart the server" in ended.err


def test_a_rehearsals_further_set_brings_no_key_into_the_eas_file(ztb: Ztb, tmp_path: Path) -> None:
    assert ztb("init", "dry", *ACCOUNT).code == 0
    assert ztb("keys", "add", "phone", "--scope", "trade", "--account", "dry").code == 0
    ea = _ea(tmp_path / "dry")
    assert len(ea.sets) == 3
    assert {(one.signs, one.reply) for one in ea.sets} == {("", "")}


def test_without_the_eas_folder_the_line_to_paste_lies_beside_the_bundle(
    ztb: Ztb, live: Path
) -> None:
    text = (live / "ea/bridge.key").read_bytes()
    (live / "ea").rename(live.parent / "at the terminal")
    ended = ztb("keys", "add", "phone", "--scope", "reduce", "--account", live, "--json")
    assert ended.code == 0
    line = Path(ended.json["ea_file"])
    assert line.parent == live / "phone/for-ea"
    assert line.stat().st_mode & 0o077 == 0
    pasted = parse_ea_keys(text.replace(b"end\n", line.read_bytes() + b"end\n"))
    bundle = load_bundle(live / "phone/keys/connector.key")
    assert (
        pasted.key_sets()[bundle.kid].keys[Purpose.ORDER_EA]
        == bundle.key_set().keys[Purpose.ORDER_EA]
    )


def test_a_damaged_ea_file_stops_the_addition_and_nothing_is_changed(ztb: Ztb, live: Path) -> None:
    path = live / "ea/bridge.key"
    path.write_bytes(path.read_bytes().replace(b"end\n", b""))
    before = _files(live)
    ended = ztb("keys", "add", "phone", "--scope", "reduce", "--account", live, "--json")
    assert ended.code == 3
    assert ended.json["error"]["code"] == "KEY_FILE"
    assert _files(live) == before


def test_a_failure_at_the_end_takes_both_sides_back(
    ztb: Ztb, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(live)

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    ended = ztb("keys", "add", "phone", "--scope", "reduce", "--account", live)
    assert ended.code == 3
    assert _files(live) == before


def test_the_33rd_set_is_refused_and_changes_nothing(
    ztb: Ztb, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_core.host.ea_keys.EA_SETS_MAX", 2)
    before = _files(live)
    ended = ztb("keys", "add", "phone", "--scope", "reduce", "--account", live, "--json")
    assert ended.code == 3
    assert ended.json["error"]["code"] == "KEY_SETS"
    assert "ztb keys revoke" in ended.json["error"]["detail"]
    assert _files(live) == before


# --- retire and revoke -------------------------------------------------------------------------


def test_a_revoked_set_is_dead_at_the_server_and_gone_from_the_eas_file(
    ztb: Ztb, live: Path
) -> None:
    ztb("keys", "add", "phone", "--scope", "trade", "--account", live)
    kid = _kid(live, "phone")
    lost = next(one for one in _ea(live).sets if one.kid == kid)
    ended = ztb("keys", "revoke", kid, "--account", live, "--json")
    assert ended.code == 0
    assert ended.json["ea_file"] == str(live / "ea/bridge.key")
    assert _server_kids(live)[kid] is KeyState.REVOKED
    assert kid not in _ea(live).kids()
    assert lost.signs not in (live / "ea/bridge.key").read_text()
    assert len(_ea(live).sets) == 2


def test_revoking_says_what_it_means_for_open_orders_and_what_to_copy(ztb: Ztb, live: Path) -> None:
    ztb("keys", "add", "phone", "--scope", "trade", "--account", live)
    kid = _kid(live, "phone")
    ended = ztb("keys", "revoke", kid, "--account", live)
    assert ended.out == f"key id {kid} is revoked\n"
    assert "stay UNKNOWN" in ended.err
    assert "into MQL4/Files again" in ended.err
    assert "restart the server" in ended.err


def test_a_retired_set_ends_at_its_date_and_the_ea_keeps_it_until_then(
    ztb: Ztb, live: Path
) -> None:
    ztb("keys", "add", "next", "--scope", "trade", "--account", live)
    kid, before = _kid(live), _ea(live)
    ended = ztb("keys", "retire", kid, "--until", _LATER, "--account", live, "--json")
    assert ended.code == 0
    assert ended.json["ea_file"] == ""
    own = load_server_keys(live / "server/keys/server.key")
    held = load_verify_sets(live / "server/keys", own)[kid]
    assert held.state is KeyState.RETIRING
    assert held.alive(held.not_after_ms - 1)
    assert not held.alive(held.not_after_ms)
    assert held.not_after_ms == 4_070_908_800_000
    assert _ea(live) == before


def test_a_date_that_is_over_retires_nothing(ztb: Ztb, live: Path) -> None:
    before = _files(live)
    ended = ztb("keys", "retire", _kid(live), "--until", "2020-01-01", "--account", live, "--json")
    assert ended.code == 3
    assert ended.json["error"]["code"] == "UNTIL"
    assert _files(live) == before


def test_the_last_set_alive_cannot_be_ended(ztb: Ztb, live: Path) -> None:
    assert ztb("keys", "revoke", _kid(live, "operator"), "--account", live).code == 0
    before = _files(live)
    for words in (("revoke",), ("retire", "--until", _LATER)):
        ended = ztb("keys", words[0], _kid(live), *words[1:], "--account", live, "--json")
        assert ended.code == 3
        assert ended.json["error"]["code"] == "KEY_SETS"
        assert "ztb keys add" in ended.json["error"]["detail"]
    assert _files(live) == before


@pytest.mark.parametrize("command", [("revoke",), ("retire", "--until", _LATER)])
def test_a_key_id_that_nobody_here_knows_is_named(
    ztb: Ztb, live: Path, command: tuple[str, ...]
) -> None:
    ended = ztb("keys", command[0], "t9-0000", *command[1:], "--account", live, "--json")
    assert ended.code == 3
    assert ended.json["error"]["code"] == "NO_KEY"
    assert ztb("keys", command[0], "../x", *command[1:], "--account", live).code == 3


def test_revoking_also_mends_an_ea_that_holds_more_than_the_server(ztb: Ztb, live: Path) -> None:
    ztb("keys", "add", "phone", "--scope", "reduce", "--account", live)
    kid = _kid(live, "phone")
    (live / f"server/keys/{kid}.key").unlink()
    assert ztb("keys", "revoke", kid, "--account", live).code == 0
    assert kid not in _ea(live).kids()


def test_keys_work_on_a_paper_account_without_an_ea(ztb: Ztb, tmp_path: Path) -> None:
    assert ztb("init", "demo", "--symbol", "EURUSD", "--max-volume", "0.01").code == 0
    added = ztb("keys", "add", "phone", "--scope", "reduce", "--account", "demo", "--json")
    assert added.json["ea_file"] == ""
    ended = ztb("keys", "revoke", added.json["kid"], "--account", "demo", "--json")
    assert (ended.code, ended.json["ea_file"]) == (0, "")
    assert not (tmp_path / "demo/ea").exists()
    listed = ztb("keys", "list", "--account", "demo", "--json").json["keys"]
    assert {row["kid"]: row["state"] for row in listed}[added.json["kid"]] == "revoked"
    assert {row["ea_has_it"] for row in listed} == {None}


def test_keys_list_shows_who_has_what(ztb: Ztb, live: Path) -> None:
    ztb("keys", "add", "phone", "--scope", "reduce", "--account", live)
    kid = _kid(live, "phone")
    bundling.end_set(live, kid, KeyState.REVOKED)
    rows = {
        row["kid"]: row for row in ztb("keys", "list", "--account", live, "--json").json["keys"]
    }
    assert (rows[kid]["state"], rows[kid]["ea_has_it"]) == ("revoked", False)
    assert rows[_kid(live)]["ea_has_it"] is True


def test_ending_a_set_never_prints_a_key(ztb: Ztb, live: Path) -> None:
    ztb("keys", "add", "phone", "--scope", "trade", "--account", live)
    ea = _ea(live)
    ended = ztb("keys", "revoke", _kid(live, "phone"), "--account", live, "--json")
    assert not [k for one in ea.sets for k in (one.signs, one.reply) if k in ended.out + ended.err]


def test_an_unreadable_server_file_ends_nothing(live: Path) -> None:
    kid = _kid(live, "operator")
    (live / f"server/keys/{kid}.key").write_text("{}")
    before = _files(live)
    with pytest.raises(ConfigError, match="KEY_FILE"):
        bundling.end_set(live, kid, KeyState.REVOKED)
    assert _files(live) == before
