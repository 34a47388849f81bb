"""docs/windows.md, docs/real-terminal.md and the workflow: what they name is there, and parses."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path, PureWindowsPath

import pytest

from bridge_client.cli.checks_mt5 import REMOTE_MT5
from bridge_client.cli.exits import UsageError
from bridge_client.cli.init_mt5 import default_path
from bridge_client.cli.parser import command_of, parse, resolve
from bridge_core.host.settings import load_toml
from bridge_server.backends.mt5_settings import ENV_NAMES
from bridge_server.cli import _parser
from bridge_server.services import KINDS
from bridge_server.settings import ServerSettings

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = ROOT / "docs/windows.md"
TERMINAL = ROOT / "docs/real-terminal.md"
README = ROOT / "README.md"
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"(?m)^ {4,}(?! )(.*(?:\\\n.*)*)$")
_OURS = re.compile(r"(?:^|[\\/; ])(ztb(?:-server)? .*)")


def _commands(page: Path) -> list[str]:
    text = page.read_text("utf-8").replace("\\\n", " ")
    pieces = [*_CODE.findall(text), *(m[1] for m in _BLOCK.finditer(text))]
    found = []
    for piece in pieces:
        command = _OURS.search(piece.partition("  #")[0])
        if command is not None:
            found.append(command[1].strip())
    return found


def _take(command: str) -> None:
    """Let the program that is meant parse a command; a bare name only has to be one."""
    words = shlex.split(command.replace("\\", "\\\\"))
    try:
        if words[0] == "ztb-server":
            _parser().parse_args(words[1:])
        elif len(words) <= 3 and not any(word.startswith("-") for word in words):
            command_of(words[1:])
        else:
            row, given, rest = resolve(words[1:])
            parse(row, given, rest)
    except (UsageError, SystemExit) as error:
        raise AssertionError(f"{command}: {error}") from error


@pytest.mark.parametrize("page", [WINDOWS, TERMINAL, README], ids=lambda path: path.name)
def test_every_command_of_the_pages_is_one_that_the_programs_take(page: Path) -> None:
    commands = _commands(page)
    assert len(commands) >= 10
    for command in commands:
        if "…" not in command:
            _take(re.sub(r"(\w+)(?:\|\w+)+", r"\1", command))  # one of several


def test_what_is_no_command_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    page.write_text("Run `ztb helth --config a.toml` now, or\n\n    ztb-server docter --json x\n")
    assert _commands(page) == ["ztb helth --config a.toml", "ztb-server docter --json x"]
    for command in _commands(page):
        with pytest.raises(AssertionError):
            _take(command)


def test_each_finding_of_the_server_s_doctor_has_its_row() -> None:
    sources = "".join(p.read_text("utf-8") for p in (ROOT / "bridge_server").glob("checks*.py"))
    ids = set(re.findall(r'f?"(mt5\.[a-z]+)', sources))
    assert len(ids) >= 12
    rows = set(re.findall(r"(?m)^\| `(mt5\.[a-z]+)", WINDOWS.read_text("utf-8")))
    assert rows == ids


def test_each_check_of_the_client_s_doctor_is_named() -> None:
    text = WINDOWS.read_text("utf-8")
    assert not [check.id for check in REMOTE_MT5 if f"`{check.id}`" not in text]


def test_the_table_of_server_toml_is_one_that_the_server_takes(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", WINDOWS.read_text("utf-8"), re.DOTALL)
    head = 'account = "gold"\nmode = "live"\nbackend = "mt5"\nallowed_symbols = []\nlimits = {}\n'
    path = tmp_path / "server.toml"
    path.write_text(head + block, "utf-8")
    table = load_toml(path, ServerSettings).mt5
    assert set(tomllib.loads(block)["mt5"]) == set(table.__struct_fields__)
    assert table.path == default_path("gold")


def test_the_page_s_folders_are_those_that_init_writes() -> None:
    text = WINDOWS.read_text("utf-8")
    folder = PureWindowsPath(default_path("gold")).parent
    assert f'Copy-Item -Recurse "C:\\Program Files\\MetaTrader 5" {folder}' in text
    assert f"`{default_path('gold')} /portable`" in text


def test_every_name_of_the_env_file_and_kind_of_service_is_told() -> None:
    text = WINDOWS.read_text("utf-8")
    assert not [name for name in ENV_NAMES if name not in text]
    assert not [kind for kind in KINDS if kind not in text]


def test_the_check_list_has_its_ten_rows_and_says_that_nobody_has_walked_it() -> None:
    text = TERMINAL.read_text("utf-8")
    assert re.findall(r"(?m)^\| (\d+) \|", text) == [str(n) for n in range(1, 11)]
    assert "none yet" in text


def test_the_workflow_calls_targets_that_exist_and_does_nothing_else() -> None:
    text = (ROOT / ".github/workflows/windows.yml").read_text("utf-8")
    runs = re.findall(r"(?m)^ +- run: (.*)$", text)
    targets = [run.split()[1] for run in runs if run.startswith("make ")]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "check" in targets
    assert not [name for name in targets if f"\n{name}:" not in makefile]
    assert len(runs) == len(targets) + 1  # the other one brings make itself
    assert "pypi" not in text.lower()
