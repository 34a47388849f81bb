"""The command table, help, typos, explain: what works before any account exists."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from bridge_client.cli.commands import COMMANDS, Command
from bridge_client.cli.explain import STATUSES
from bridge_core.protocol.alerts import AlertCode
from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import ReasonCode, Status
from tests.support.command_line import ROOT, Ztb, run_process

NAMES = [command.name for command in COMMANDS]


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str]) -> Ztb:
    return Ztb(capsys)


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_nothing_exists_only_in_help(command: Command) -> None:
    if command.name == "demo":
        pytest.importorskip("bridge_client.demo")
    module, _, function = command.run.partition(":")
    assert callable(getattr(import_module(f"bridge_client.cli.{module}"), function))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(ztb: Ztb, name: str) -> None:
    ended = ztb(*name.split(), "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"usage: ztb {name}")
    assert "--json" in ended.out


def test_the_front_page_lists_every_command(ztb: Ztb) -> None:
    ended = ztb("--help")
    assert ended.code == 0
    assert all(f"  {name} " in ended.out for name in NAMES)


def test_names_are_unique_and_in_a_known_group() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert {command.group for command in COMMANDS} == {"start", "know", "trade", "stop", "record"}


def test_no_flag_takes_a_secret_and_none_switches_a_check_off() -> None:
    flags = [flag for command in COMMANDS for arg in command.args for flag in arg.flags]
    for word in ("password", "secret", "token", "root", "no-", "insecure", "skip", "force"):
        assert not [flag for flag in flags if word in flag], word


@pytest.mark.parametrize("words", [["version"], ["--help"], ["order", "--help"], ["explain"]])
def test_light_commands_never_load_zmq_or_cryptography(words: list[str]) -> None:
    probe = (
        "import sys; from bridge_client.cli.main import main; "
        f"main({words!r}); heavy = {{'zmq', 'cryptography', 'sqlite3'}} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["helth"], "did you mean health"),
        (["flaten"], "did you mean flatten"),
        (["keys", "ad"], "did you mean add"),
        (["audit", "verfy"], "did you mean verify"),
        (["ping", "--cuont", "3"], "did you mean --count"),
        (["order", "bui", "EURUSD", "0.01"], "did you mean BUY"),
        (["order", "buy_limt", "EURUSD", "0.01"], "did you mean BUY_LIMIT"),
        (["explain", "MAX_VOLUM"], "did you mean MAX_VOLUME"),
        (["settle", "a" * 32, "--status", "FILED", "--reason", "x", "--operator", "x"],
         "did you mean FILLED"),
    ],
)  # fmt: skip
def test_a_typo_gets_the_nearest_name_and_exit_3(ztb: Ztb, words: list[str], wanted: str) -> None:
    ended = ztb(*words)
    assert ended.code == 3
    assert wanted in ended.err
    assert ended.out == ""
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["order", "buy", "EURUSD", "0,01"], "write 0.01"),
        (["order", "buy", "EURUSD", "1e-2"], "write it like 0.01"),
        (["order", "buy", "EURUSD", "-0.01"], "--help"),
        (["order", "buy", "EURUSD"], "VOLUME"),
        (["order", "buy_limit", "EURUSD", "0.01"], "needs --price"),
        (["order", "buy", "EURUSD", "0.01", "--expiration", "2030-01-01"], "runs at once"),
        (["order", "buy", "EURUSD", "0.01", "--expiration", "tomorrow"], "2030-01-31T16:00"),
        (["close", "0"], "whole number from 1"),
        (["close", "12x"], "whole number from 1"),
        (["modify", "7"], "name what to change"),
        (["halt", 'say "now"'], "plain ASCII"),
        (["ping", "--count", "0"], "whole number from 1"),
        (["ping", "--timeout", "nan"], "write it like 2.5"),
        (["ping", "--time", "1"], "did you mean --timeout"),
        (["ping", "extra"], "one word too many"),
        (["keys"], "needs one of: add retire revoke list"),
        ([], "name a command"),
        (["order", "buy", "EURUSD", "0.01", "--comment", 'a "b"'], "plain ASCII"),
        (["order", "buy", "EURUSD", "0.01", "--id", "a b"], "no order id"),
        (["status", ""], "no order id"),
        (["settle", "xyz", "--status", "DONE", "--reason", "x", "--operator", "x"], "32 hex"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_sentence_that_names_the_fix(
    ztb: Ztb, words: list[str], wanted: str
) -> None:
    ended = ztb(*words)
    assert ended.code == 3
    assert wanted in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (["--json"], "ztb/1"),
        (["helth", "--json"], "ztb/1"),
        (["--json", "ping", "--count", "many"], "ztb.ping/1"),
        (["order", "bui", "EURUSD", "0.01", "--json"], "ztb.order/1"),
        (["keys", "add", "x", "--json"], "ztb.keys.add/1"),
        (["explain", "NOPE", "--json"], "ztb.explain/1"),
    ],
)
def test_json_is_one_object_with_a_schema_also_when_the_words_are_wrong(
    ztb: Ztb, words: list[str], schema: str
) -> None:
    ended = ztb(*words)
    assert ended.code == 3
    found = ended.json
    assert found["schema"] == schema
    assert (found["exit"], found["ok"]) == (3, False)
    assert found["error"]["code"]
    assert found["error"]["detail"]


def test_global_flags_stand_before_or_after_the_command(ztb: Ztb) -> None:
    assert ztb("--json", "version").json == ztb("version", "--json").json


def test_version_names_the_protocol(ztb: Ztb) -> None:
    assert ztb("version", "--json").json["protocol"] == 5


@pytest.mark.parametrize("code", [code for code in ReasonCode if code is not ReasonCode.NONE])
def test_explain_knows_every_code(ztb: Ztb, code: ReasonCode) -> None:
    ended = ztb("explain", code.lower(), "--json")
    info = CODES[code]
    assert ended.code == 0
    assert ended.json | {"code": code, "meaning": info.meaning, "by": info.by} == ended.json
    assert ended.json["retry"]
    assert ended.json["fix"]


@pytest.mark.parametrize("status", Status)
def test_explain_knows_every_status(ztb: Ztb, status: Status) -> None:
    ended = ztb("explain", status)
    assert ended.code == 0
    assert STATUSES[status].meaning in ended.out


def test_explain_without_a_code_lists_all_of_them(ztb: Ztb) -> None:
    listed = {row["code"] for row in ztb("explain", "--json").json["codes"]}
    codes = {str(c) for c in ReasonCode if c != "-"}
    assert listed == {str(s) for s in Status} | codes | {str(a) for a in AlertCode}


def test_the_module_runs_as_a_program_and_passes_its_exit_code_on() -> None:
    assert run_process("explain", "EXPIRED").code == 0
    assert run_process("explain", "NOPE").code == 3


@pytest.mark.parametrize(
    "words",
    [
        ("order", "buy", "{}", "0.01"), ("quote", "{}"), ("risk", "{}"),
        ("close-all", "--symbol", "{}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("symbol", ["EUR\x1b[31mUSD", "EURUSD\n", "", "a:b", "x" * 32, "ЕURUSD"])
def test_a_name_that_no_symbol_can_have_is_refused_before_anything_is_asked_or_shown(
    ztb: Ztb, words: tuple[str, ...], symbol: str
) -> None:
    ended = ztb(*(word.format(symbol) for word in words))
    assert ended.code == 3
    assert "is no symbol" in ended.err
    assert "\x1b" not in ended.err
    assert ended.out == ""
