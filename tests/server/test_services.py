"""Service definitions: printed, never installed, whole whatever the path looks like."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bridge_server.services import KINDS, service_text

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
