"""Settings of MetaTrader 5: flag, table and .env agree, and the password goes to nobody else."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import pytest
from msgspec import json, structs

from bridge_core.host.logs import redact
from bridge_core.protocol.errors import ConfigError
from bridge_server.cli import main
from bridge_server.settings import Overrides, ServerSettings, load_settings
from bridge_server.wiring import link_spec

EXE = r"C:\MT5\gold\terminal64.exe"
LIVE = f"""\
account = "gold"
mode = "live"
backend = "mt5"
allowed_symbols = ["EURUSD"]
limits.EURUSD = {{ max_volume = 1, max_positions = 1 }}
terminal = {{ login = 5001234, server = "Fake-Demo", kind = "demo" }}
mt5 = {{ path = '{EXE}', portable = true, margin_mode = "hedging" }}
"""
PAPER = f"""\
account = "gold"
mode = "paper"
backend = "mt5"
allowed_symbols = ["EURUSD"]
limits.EURUSD = {{ max_volume = 1, max_positions = 1 }}
mt5 = {{ path = '{EXE}' }}
"""
NO_PATH = PAPER.replace(f"path = '{EXE}'", 'env = ".env"')


def _load(folder: Path, text: str = LIVE, env: str = "", **flags: object) -> ServerSettings:
    path = folder / "server.toml"
    path.write_text(text, "utf-8")
    if env:
        file = folder / ".env"
        file.touch(mode=0o600)
        file.write_text(env, "utf-8")
    return load_settings(path, Overrides(**flags))  # type: ignore[arg-type]


def _refused(folder: Path, text: str = LIVE, env: str = "", **flags: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        _load(folder, text, env, **flags)
    assert "hunter2!" not in caught.value.detail
    return caught.value.detail


def _with_env(text: str = LIVE) -> str:
    return text.replace("mt5 = {", 'mt5 = { env = ".env",')


def test_a_live_account_is_pinned_to_terminal_account_and_margin_mode(tmp_path: Path) -> None:
    settings = _load(tmp_path)
    spec = link_spec(settings, tmp_path, trading=True)
    assert spec.pins is not None
    assert (spec.pins.login, spec.pins.server) == (5001234, "Fake-Demo")
    assert (spec.pins.kind, spec.pins.margin) == ("demo", "hedging")
    assert (spec.path, spec.portable, spec.password) == (EXE, True, b"")
    assert (settings.mt5.poll_ms, settings.mt5.utc_offset_minutes) == (250, None)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (', margin_mode = "hedging"', "", "margin_mode"),
        (f"path = '{EXE}', ", "", "`mt5.path` is missing"),
        (EXE, r"MT5\terminal64.exe", "not whole"),
        (EXE, r"C:\MT5\gold", "terminal64.exe"),
        ('terminal = { login = 5001234, server = "Fake-Demo", kind = "demo" }', "", "pinned"),
        ("login = 5001234, ", "", "`terminal.login` is missing"),
        ('server = "Fake-Demo", ', "", "`terminal.server` is missing"),
        ('kind = "demo"', 'kind = "contest"', "terminal.kind"),
        ("portable = true", 'pasword = "x"', "mt5.pasword"),
        ("portable = true", "poll_ms = 1", "mt5.poll_ms"),
        ("portable = true", "utc_offset_minutes = 900", "mt5.utc_offset_minutes"),
        ('backend = "mt5"', 'backend = "ea"', "backend"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in LIVE
    assert words in _refused(tmp_path, LIVE.replace(old, new))


def test_a_rehearsal_needs_the_terminal_and_no_account(tmp_path: Path) -> None:
    spec = link_spec(_load(tmp_path, PAPER), tmp_path, trading=False)
    assert (spec.pins, spec.trading) == (None, False)
    assert "paper.script" in _refused(tmp_path, PAPER + 'paper.script = "x.toml"\n')


def test_for_the_path_a_flag_goes_before_the_table_and_the_table_before_env(
    tmp_path: Path,
) -> None:
    env = "MT5_PATH=D:\\env\\terminal64.exe\n"
    assert _load(tmp_path, NO_PATH, env).mt5.path == r"D:\env\terminal64.exe"
    assert _load(tmp_path, _with_env(PAPER), env).mt5.path == EXE
    flag = r"E:\flag\terminal64.exe"
    assert _load(tmp_path, _with_env(PAPER), env, mt5_path=flag).mt5.path == flag


@pytest.mark.parametrize(
    ("env", "flags", "words"),
    [
        ("MT5_LOGIN=7\n", {}, "login is 5001234"),
        ("MT5_SERVER=Fake-Real\n", {}, "server is Fake-Demo"),
        ("", {"mt5_login": 7}, "login is 7 by flags"),
        ("", {"mt5_server": "Fake-Real"}, "server is Fake-Real by flags"),
    ],
)
def test_login_and_server_given_twice_must_agree(
    tmp_path: Path, env: str, flags: dict[str, Any], words: str
) -> None:
    assert words in _refused(tmp_path, _with_env() if env else LIVE, env, **flags)
    same = "MT5_LOGIN=5001234\nMT5_SERVER=Fake-Demo\n"
    assert _load(tmp_path, _with_env(), same, mt5_login=5001234).terminal is not None


def test_login_and_server_may_stand_in_env_alone(tmp_path: Path) -> None:
    text = _with_env().replace('login = 5001234, server = "Fake-Demo", ', "")
    found = _load(tmp_path, text, "MT5_LOGIN=77\nMT5_SERVER=Other-Demo\n").terminal
    assert found is not None
    assert (found.login, found.server, found.kind) == (77, "Other-Demo", "demo")
    bare = _with_env(PAPER)
    assert 'kind = "demo"' in _refused(tmp_path, bare, "MT5_LOGIN=77\nMT5_SERVER=Other-Demo\n")


@pytest.mark.parametrize("login", ["abc", "-5", "0", "1.5", "99999999999999999999"])
def test_a_login_that_is_no_number_is_refused(tmp_path: Path, login: str) -> None:
    assert "MT5_LOGIN" in _refused(tmp_path, _with_env(), f"MT5_LOGIN={login}\n")


def test_the_env_file_is_checked_as_a_key_file_is(tmp_path: Path) -> None:
    assert ".env" in _refused(tmp_path, _with_env())  # it is not there
    env = "MT5_PASSWORD=hunter2!\n"
    _load(tmp_path, _with_env(), env)
    (tmp_path / ".env").chmod(0o644)
    assert "chmod 600" in _refused(tmp_path, _with_env())
    (tmp_path / ".env").chmod(0o600)
    assert "MT5_PASSWORD" in _refused(tmp_path, _with_env(), "MT5_PASSWRD=hunter2!\n")
    assert "line 1" in _refused(tmp_path, _with_env(), "PATH=hunter2!\n")


def test_the_password_is_in_the_link_alone_and_in_no_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    password = "pass$word #9"  # what interpolation or a comment would cut
    settings = _load(tmp_path, _with_env(), f'MT5_PASSWORD="{password}"\n')
    assert password not in repr(settings)
    spec = link_spec(settings, tmp_path, trading=True)
    assert spec.password == password.encode()
    assert password not in repr(spec)
    assert password not in redact(f"a line with {password} in it")
    for words in (("config",), ("config", "--json")):
        assert main([*words, "--config", str(tmp_path / "server.toml")]) == 0
    logging.getLogger("test").warning("%r", spec)
    shown = capsys.readouterr()
    assert password not in shown.out + shown.err + caplog.text


def test_a_password_for_no_account_is_refused(tmp_path: Path) -> None:
    settings = _load(tmp_path, _with_env(PAPER), "MT5_PASSWORD=hunter2!\n")
    with pytest.raises(ConfigError) as caught:
        link_spec(settings, tmp_path, trading=False)
    assert "terminal = {" in caught.value.detail


def test_the_flags_are_there_and_no_flag_takes_a_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _load(tmp_path)
    config = ["--config", str(tmp_path / "server.toml")]
    assert main(["config", "--json", "--mt5-path", r"E:\t\terminal64.exe", *config]) == 0
    shown = json.decode(capsys.readouterr().out)
    assert shown["mt5"]["path"] == r"E:\t\terminal64.exe"
    assert main(["config", "--mt5-login", "7", *config]) == 3
    with pytest.raises(SystemExit):
        main(["config", "--mt5-password", "hunter2!", *config])
    assert "hunter2!" not in capsys.readouterr().err


@pytest.mark.parametrize("extra", [{"mt5_path": EXE}, {"mt5_login": 7}, {}])
def test_words_about_a_terminal_that_is_not_used_are_refused(
    tmp_path: Path, extra: dict[str, Any]
) -> None:
    text = PAPER.replace('backend = "mt5"', 'backend = "paper"')
    if extra:
        text = text.replace(f"mt5 = {{ path = '{EXE}' }}\n", "")
    assert 'backend = "mt5"' in _refused(tmp_path, text, **extra)


def test_two_accounts_on_one_terminal_share_its_lock(tmp_path: Path) -> None:
    one = _load(tmp_path)
    two = structs.replace(one, account="other", state="elsewhere")
    other = structs.replace(one, mt5=structs.replace(one.mt5, path=r"C:\MT5\two\terminal64.exe"))
    locks = [link_spec(s, tmp_path, trading=True).lock for s in (one, two, other)]
    assert locks[0] == locks[1] != locks[2]


def test_sessions_with_temporary_folders_of_their_own_share_the_terminals_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, locks = tmp_path / "Local", set()
    local.mkdir()
    monkeypatch.setenv("LOCALAPPDATA", str(local))
    for session in ("1", "2"):
        (tmp_path / session).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / session))
        locks.add(link_spec(_load(tmp_path, PAPER), tmp_path, trading=False).lock)
    assert len(locks) == 1
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "gone"))
    assert link_spec(_load(tmp_path, PAPER), tmp_path, trading=False).lock not in locks
