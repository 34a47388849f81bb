"""The house keeps its floors, its doors and its budgets; and the test that says so can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.architecture import PACKAGES, breaches, floor_of, size_breaches

ROOT = Path(__file__).resolve().parent.parent

# Three lists of cases that wait to be split. None may grow, and none may join them.
TOO_LONG_YET = {
    "tests/client/test_cli_live.py": 456,
    "tests/client/test_connector_rules.py": 619,
    "tests/support/fake_server.py": 522,
}


def test_imports_go_to_the_same_floor_or_down_and_each_library_has_one_door() -> None:
    found = breaches(ROOT)
    assert not found, "\n".join(found)


def test_no_module_is_longer_than_400_lines_and_no_function_longer_than_60() -> None:
    found = size_breaches(ROOT, (*PACKAGES, "tests", "examples"))
    new = [line for line in found if line.partition(":")[0] not in TOO_LONG_YET]
    assert not new, "\n".join(new)
    for name, lines in TOO_LONG_YET.items():
        now = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        assert 400 < now <= lines, f"{name}: {now} lines; split it, and take it off the list"


def test_every_shipped_package_says_that_it_is_typed() -> None:
    assert [p for p in PACKAGES if not (ROOT / p / "py.typed").exists()] == []


def _plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


PROTOCOL = "bridge_core/protocol/x.py"
CORE = "bridge_server/core/x.py"
ALL = "__all__ = []\n"

PLANTED = [
    ("floor 0 looks up at a door", PROTOCOL, "from bridge_core.host import clock", "up is not"),
    ("floor 1 looks up", CORE, "import bridge_core.host.clock", "up is not allowed"),
    ("a relative import looks up", CORE, "from ..backends import paper", "up is not allowed"),
    ("an import inside a function", CORE, "def _f(): import bridge_server.service", "up is not"),
    ("the client imports the server", "bridge_client/journal.py",
     "from bridge_server.core import ports", "never import each other"),
    ("the server imports the client", "bridge_server/cli.py",
     "import bridge_client", "never import each other"),
    ("core imports a side", "bridge_core/host/logs.py",
     "import bridge_server.core.ports", "never import each other"),
    ("the protocol reads a clock", PROTOCOL, "import time", "is pure and imports time"),
    ("the protocol reads a file", PROTOCOL, "from pathlib import Path", "imports pathlib"),
    ("the judgement draws numbers", CORE, "from secrets import token_hex", "imports secrets"),
    ("the judgement starts a thread", CORE, "import threading", "imports threading"),
    ("the judgement asks the environment", CORE, "import os.path", "imports os"),
    ("a pure module opens a file", CORE, "_x = open('f')", "calls open"),
    ("a pure module asks for today", CORE, "from datetime import date\n_x = date.today()", "clock"),
    ("a pure module asks for now", CORE, "import datetime as d\n_x = d.datetime.now()", "clock"),
    ("a pure client module", "bridge_client/session.py", "import socket", "imports socket"),
    ("zmq outside its doors", "bridge_server/service.py", "import zmq", "its own door"),
    ("zmq's submodule", "bridge_client/connector.py", "from zmq import auth", "its own door"),
    ("sqlite3 outside its door", "bridge_server/journal.py", "import sqlite3", "its own door"),
    ("cryptography outside its door", "bridge_core/protocol/signing.py",
     "from cryptography import x509", "its own door"),
    ("dotenv outside its door", "bridge_server/settings.py", "import dotenv", "its own door"),
    ("MetaTrader5 in the server", "bridge_server/backends/mt5.py",
     "def _f(): import MetaTrader5", "its own door"),
    ("MetaTrader5 at the top of its worker", "bridge_server/backends/mt5_worker.py",
     "import MetaTrader5", "outside a function"),
    ("an event loop", "bridge_server/service.py", "import asyncio", "its own door"),
    ("a library nobody chose", "bridge_client/risk.py", "import numpy", "no dependency"),
    ("a module without a room", "bridge_client/utils.py", "", "has no room"),
    ("a new file beside the shells", "bridge_server/helpers.py", "", "has no room"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "said"), [p[1:] for p in PLANTED],
                         ids=[p[0] for p in PLANTED])  # fmt: skip
def test_a_planted_breach_is_found(tmp_path: Path, path: str, text: str, said: str) -> None:
    _plant(tmp_path, {path: ALL + text, "bridge_core/host/clock.py": ALL})
    found = breaches(tmp_path)
    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith(path)


def test_what_the_law_allows_is_not_reported(tmp_path: Path) -> None:
    _plant(
        tmp_path,
        {
            "bridge_core/protocol/a.py": ALL + "import hashlib\nimport msgspec",
            "bridge_core/protocol/b.py": ALL + "from bridge_core.protocol import a",
            "bridge_core/host/sqlite.py": ALL + "import sqlite3\nimport os",
            "bridge_server/core/c.py": ALL + "from bridge_core.protocol import b",
            "bridge_server/journal.py": ALL + "from bridge_core.host.sqlite import x",
            "bridge_server/backends/mt5_worker.py": ALL + "def _f():\n    import MetaTrader5",
            "bridge_server/service.py": ALL + "import threading\nfrom bridge_server import journal",
            "bridge_client/__init__.py": ALL + "from bridge_client.connector import C",
            "bridge_client/cli/x.py": ALL + "import bridge_client",
        },
    )
    assert breaches(tmp_path) == []


def test_an_import_cycle_is_found(tmp_path: Path) -> None:
    _plant(
        tmp_path,
        {
            "bridge_server/core/a.py": ALL + "from bridge_server.core import b",
            "bridge_server/core/b.py": ALL + "from bridge_server.core.a import x",
        },
    )
    assert [line for line in breaches(tmp_path) if "import cycle" in line]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(): ...", "has no __all__"),
        ("__all__ = ['g']\ndef _f(): ...", "lists g"),
    ],
)
def test_a_module_without_its_list_of_public_names_is_found(
    tmp_path: Path, text: str, said: str
) -> None:
    _plant(tmp_path, {CORE: text})
    assert [line for line in breaches(tmp_path) if said in line]


def test_a_module_too_long_and_a_function_too_long_are_found(tmp_path: Path) -> None:
    _plant(tmp_path, {CORE: "x = 1\n" * 401, "tests/t.py": "def f():\n" + "    x = 1\n" * 60})
    found = size_breaches(tmp_path, ("bridge_server", "tests"))
    assert [line.partition(" ")[2] for line in found] == [
        "has 401 lines, 400 is the most",
        "f has 61 lines, 60 is the most",
    ]
    _plant(tmp_path, {CORE: "x = 1\n" * 400, "tests/t.py": "def f():\n" + "    x = 1\n" * 59})
    assert size_breaches(tmp_path, ("bridge_server", "tests")) == []


def test_only_packages_lend_their_floor_to_new_files() -> None:
    assert floor_of("bridge_server.core.anything") == 1
    assert floor_of("bridge_client.cli.anything") == 4
    assert floor_of("bridge_client.anything") is None
