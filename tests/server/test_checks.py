"""`ztb-server doctor`: what a start needs, looked at on a real account's folder."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from bridge_core.host.sqlite import open_database
from bridge_server.checks import Finding, run_checks, show_checks
from bridge_server.journal import Journal
from bridge_server.settings import Overrides
from tests.support.builders import row
from tests.support.ea_account import make_ea_account
from tests.support.running import Account, make_account

_IDS = [
    "python", "libzmq", "config", "bind", "keys", "ea", "limits", "dead_man", "time", "disk",
    "journal", "record", "halted", "alerts",
]  # fmt: skip


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return make_account(tmp_path)


def _findings(account: Account) -> dict[str, Finding]:
    return {one.id: one for one in run_checks(account.config, Overrides())}


def _journal(account: Account) -> Journal:
    account.state.mkdir(mode=0o700, exist_ok=True)
    journal = Journal(account.state / "journal.db")
    with journal.transaction():
        journal.insert(row(), "ORDER")
    return journal


def test_a_fresh_account_is_ready_and_says_what_is_not_there_yet(account: Account) -> None:
    found = _findings(account)
    assert list(found) == _IDS
    states = {one.id: one.state for one in found.values()}
    assert {name for name, state in states.items() if state == "skip"} == {
        "ea", "journal", "record",
    }  # fmt: skip
    assert set(states.values()) == {"ok", "skip"}


def test_looking_changes_nothing(account: Account) -> None:
    before = {path: path.stat().st_mtime_ns for path in account.folder.rglob("*")}
    run_checks(account.config, Overrides())
    assert {path: path.stat().st_mtime_ns for path in account.folder.rglob("*")} == before


def test_a_configuration_that_does_not_load_ends_the_checks_with_its_reason(
    account: Account,
) -> None:
    account.edit("max_volume", "max_volumes")
    found = list(_findings(account).values())
    assert [one.id for one in found] == ["python", "libzmq", "config"]
    assert (found[-1].state, bool(found[-1].fix)) == ("fail", True)
    assert "max_volumes" in found[-1].finding


@pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX modes")
def test_keys_that_others_can_read_fail(account: Account) -> None:
    (account.config.parent / "keys" / "server.key").chmod(0o644)
    assert _findings(account)["keys"].state == "fail"


@pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX modes")
def test_open_keys_are_told_with_their_fix_and_mended_when_asked_to(account: Account) -> None:
    key = account.config.parent / "keys" / "server.key"
    key.chmod(0o644)
    found = _findings(account)["keys"]
    assert (found.state, found.fix) == ("fail", f"run `chmod 600 {key}`")
    assert found.finding == f"{key} can be read by others"
    asked = run_checks(account.config, Overrides(), fix_permissions=True)
    mended = {one.id: one for one in asked}
    assert (mended["mended"].state, str(key) in mended["mended"].finding) == ("ok", True)
    assert mended["keys"].state == "ok"
    again = {one.id: one for one in run_checks(account.config, Overrides(), fix_permissions=True)}
    assert again["mended"].finding == "nothing was open"


def test_a_missing_key_folder_fails(account: Account) -> None:
    shutil.rmtree(account.config.parent / "keys")
    assert _findings(account)["keys"].state == "fail"


def test_a_wildcard_address_without_a_word_about_it_fails(account: Account) -> None:
    found = {one.id: one for one in run_checks(account.config, Overrides(host="0.0.0.0"))}
    assert found["bind"].state == "fail"


def test_a_symbol_without_limits_is_a_warning_with_the_lines_to_add(account: Account) -> None:
    account.edit('allowed_symbols = ["EURUSD"]', 'allowed_symbols = ["EURUSD", "USDJPY"]')
    found = _findings(account)["limits"]
    assert (found.state, "USDJPY" in found.finding) == ("warn", True)
    assert "[limits.USDJPY]" in found.fix


def test_a_full_disk_fails(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    nearly = shutil.disk_usage("/")._replace(free=64 * 1024 * 1024 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly)
    assert _findings(account)["disk"].state == "fail"


def test_a_journal_is_looked_at_and_its_record_verified(account: Account) -> None:
    _journal(account).close()
    found = _findings(account)
    assert found["journal"].finding.startswith("durable")
    assert (found["record"].state, found["record"].finding) == ("ok", "1 records hold")


def test_a_running_servers_journal_is_skipped_with_the_way_to_ask_for_it(
    account: Account,
) -> None:
    owner = _journal(account)
    found = _findings(account)
    owner.close()
    assert (found["journal"].state, found["journal"].fix) == ("skip", "ask `ztb health`")
    assert (found["record"].state, found["record"].fix) == ("skip", "run `ztb audit verify`")


def test_an_edited_record_fails_and_names_the_first_bad_one(account: Account) -> None:
    journal = _journal(account)
    journal.close()
    database = open_database(journal.path, exclusive=True)
    database.execute("UPDATE log SET hash = zeroblob(32)")
    database.close()
    found = _findings(account)["record"]
    assert (found.state, found.finding[:8]) == ("fail", "record 1")


def test_a_damaged_journal_fails(account: Account) -> None:
    account.state.mkdir(mode=0o700, exist_ok=True)
    (account.state / "journal.db").write_bytes(b"no database at all" * 500)
    found = _findings(account)
    assert (found["journal"].state, found["record"].state) == ("fail", "fail")


def test_a_halted_account_is_a_warning_with_the_command_that_ends_it(account: Account) -> None:
    account.state.mkdir(mode=0o700, exist_ok=True)
    (account.state / "halted").write_text("REDUCE_ONLY 0f1e lunch\n", "utf-8")
    found = _findings(account)["halted"]
    assert (found.state, found.finding) == ("warn", "REDUCE_ONLY: 0f1e lunch")
    assert "ztb resume" in found.fix


def test_a_failed_check_fails_the_command_and_shows_its_fix(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        Finding("disk", "fail", "full", "free 64 MiB"), Finding("time", "ok", "fine", "not shown"),
    ]  # fmt: skip
    assert show_checks(rows, as_json=False) == 1
    out = capsys.readouterr().out
    assert "fix: free 64 MiB" in out
    assert "not shown" not in out
    assert show_checks(rows, as_json=True) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["ok"]) == ("ztb.server.doctor/1", False)
    assert said["checks"][0] == {
        "id": "disk", "state": "fail", "finding": "full", "fix": "free 64 MiB",
    }  # fmt: skip


def test_warnings_alone_do_not_fail_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Finding("halted", "warn", "HALTED: news", "resume")]
    assert show_checks(rows, as_json=False) == 0
    assert "fix: resume" in capsys.readouterr().out
    assert show_checks(rows, as_json=True) == 0


def test_an_ea_account_is_told_with_its_pins_and_without_the_eas_key_fails(tmp_path: Path) -> None:
    account = make_ea_account(tmp_path)
    found = _findings(account)["ea"]
    assert (found.state, "22437@Fake-Demo (demo)" in found.finding) == ("ok", True)
    path = account.config.parent / "keys" / "server.key"
    keys = json.loads(path.read_text("ascii"))
    path.write_text(json.dumps(keys | {"ea_public": ""}), "ascii")
    assert _findings(account)["ea"].state == "fail"


def test_the_dead_mans_switch_is_said_to_be_off_or_what_it_does(account: Account) -> None:
    found = _findings(account)["dead_man"]
    assert (found.state, found.finding[:4]) == ("ok", "off:")
    account.edit("port =", 'dead_man = { after_s = 10, policy = "flatten" }\nport =')
    found = _findings(account)["dead_man"]
    assert found.finding == "policy flatten after 10 s, once a heartbeat has come"
