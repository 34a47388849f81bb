"""Service definitions: printed, never installed, whole whatever the path looks like."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bridge_core.protocol.errors import ConfigError
from bridge_server.cli import main
from bridge_server.services import (
    KINDS,
    service_text,
    service_warning,
    usual_kind,
    write_service,
)
from tests.support.running import make_account

_PLAIN: Any = PurePosixPath("/srv/ztb/demo/server/server.toml")
_ODD: Any = PurePosixPath("/srv/a b & <c>/100%/server.toml")
_NS = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_definition_runs_this_python_with_this_configuration(kind: str) -> None:
    text = service_text(kind, "demo", _PLAIN)
    assert sys.executable in text
    assert f'-m bridge_server run --config "{_PLAIN}"' in text
    assert "demo" in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_definition_carries_no_password_and_turns_nothing_off(kind: str) -> None:
    text = service_text(kind, "demo", _PLAIN).lower()
    assert not any(word in text for word in ("password", "mt5_", "--debug", "bind_any", "0.0.0.0"))


def test_a_unit_restarts_on_failure_and_gives_the_order_at_the_broker_time_to_end() -> None:
    text = service_text("systemd", "demo", _PLAIN)
    assert "Restart=on-failure" in text
    assert "TimeoutStopSec=15" in text
    assert "LimitCORE=0" in text  # a core file would hold keys


def test_a_percent_sign_in_a_path_is_no_specifier_to_systemd() -> None:
    text = service_text("systemd", "demo", _ODD)
    assert '--config "/srv/a b & <c>/100%%/server.toml"' in text
    assert "WorkingDirectory=/srv/a b & <c>/100%%\n" in text


@pytest.mark.parametrize("account", ["demo", "a--b", "--", "-"])
@pytest.mark.parametrize("config", [_PLAIN, _ODD])
def test_a_task_is_well_formed_for_every_alias_and_path(account: str, config: Any) -> None:
    root = ET.fromstring(service_text("task", account, config).encode("utf-16"))
    assert root.findtext(f".//{_NS}Description") == f"zero-trust bridge, {account}"
    assert root.findtext(f".//{_NS}WorkingDirectory") == str(config.parent)
    assert root.findtext(f".//{_NS}Arguments") == f'-m bridge_server run --config "{config}"'


def test_a_task_runs_on_the_desktop_of_its_user_with_no_password_and_on_batteries() -> None:
    for user in ("", "PC\\o'b & co"):
        root = ET.fromstring(service_text("task", "demo", _PLAIN, user).encode("utf-16"))
        assert root.findtext(f".//{_NS}LogonType") == "InteractiveToken"
        assert root.findtext(f".//{_NS}RunLevel") == "LeastPrivilege"
        assert root.findtext(f".//{_NS}DisallowStartIfOnBatteries") == "false"
        assert root.findtext(f".//{_NS}ExecutionTimeLimit") == "PT0S"
        assert [one.text for one in root.findall(f".//{_NS}UserId")] == ([user] * 2 if user else [])


@pytest.mark.parametrize("account", ["demo", "a--b", "-"])
@pytest.mark.parametrize("config", [_PLAIN, _ODD])
def test_a_winsw_file_is_well_formed_and_lets_an_order_at_the_broker_end(
    account: str, config: Any
) -> None:
    root = ET.fromstring(service_text("winsw", account, config))
    assert root.findtext("id") == f"ztb-{account}"
    assert root.findtext("arguments") == f'-m bridge_server run --config "{config}"'
    assert root.findtext("workingdirectory") == str(config.parent)
    assert root.findtext("stoptimeout") == "15 sec"
    restart = root.find("onfailure")
    assert restart is not None
    assert restart.get("action") == "restart"


@pytest.mark.parametrize("kind", KINDS)
def test_a_terminal_with_a_window_is_not_put_where_there_is_no_desktop_without_a_word(
    kind: str,
) -> None:
    said = service_warning(kind, "mt5", Path("/srv/server.toml"))
    assert ("--kind task" in said) == (kind != "task")
    assert service_warning(kind, "ea", Path("/srv/server.toml")) == ""


def test_what_is_printed_unasked_fits_the_backend() -> None:
    for backend in ("paper", "ea", "mt5"):
        kind = usual_kind(backend)
        assert service_warning(kind, backend, Path("/srv/server.toml")) == ""
    assert usual_kind("mt5") == "task"


def test_a_path_that_winsw_would_rewrite_is_said() -> None:
    assert "plain path" in service_warning("winsw", "paper", Path("/a/%TEMP%/server.toml"))
    assert service_warning("winsw", "paper", Path("/a/100%/server.toml")) == ""


def test_a_written_definition_has_the_encoding_that_its_reader_wants(tmp_path: Path) -> None:
    text = service_text("task", "demo", _ODD)
    path = tmp_path / "ztb.xml"
    write_service(path, "task", text)
    assert path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff")  # as its first line says
    assert ET.parse(path).getroot().tag == f"{_NS}Task"
    with pytest.raises(ConfigError, match="left as it is"):
        write_service(path, "task", "other")
    assert path.read_text("utf-16") == text
    with pytest.raises(ConfigError, match="cannot be written"):
        write_service(tmp_path / "no/ztb.xml", "winsw", text)


@pytest.mark.parametrize("words", [("service",), ("service", "print")])
def test_print_is_the_only_thing_that_is_done_with_a_definition(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    account = make_account(tmp_path)
    assert main([*words, "--kind", "winsw", "--config", str(account.config)]) == 0
    assert ET.fromstring(capsys.readouterr().out).tag == "service"
    out = tmp_path / "unit"
    where = ["--out", str(out), "--config", str(account.config)]
    assert main([*words, "--kind", "systemd", *where]) == 0
    assert capsys.readouterr().out == ""
    assert "[Service]" in out.read_text("utf-8")
