"""Where words go: terminals get tables and colour, programs get tabs or one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge_client.cli.output import Answer, Console, age, moment, plain
from tests.support.command_line import ROOT, on_a_terminal, run_process

terminal = pytest.mark.skipif(sys.platform == "win32", reason="platform: needs a POSIX pty")


def test_off_a_terminal_a_table_is_tab_separated_lines() -> None:
    ended = run_process("explain")
    lines = ended.out.splitlines()
    assert lines[0] == "CODE\tMEANING"
    assert all(line.count("\t") == 1 for line in lines)
    assert "\x1b" not in ended.out


@terminal
def test_on_a_terminal_a_table_fits_its_width() -> None:
    ended = on_a_terminal("explain", columns=60, NO_COLOR="1")
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 60
    assert "\t" not in ended.out


@terminal
def test_a_cell_too_long_for_its_column_goes_on_below_and_nothing_is_cut() -> None:
    shown = on_a_terminal("explain", columns=50, NO_COLOR="1").out
    for row in run_process("explain").out.splitlines():
        for word in row.split():
            assert word in shown


@terminal
def test_colour_only_on_a_terminal_that_wants_it() -> None:
    assert "\x1b[" in on_a_terminal("explain").out
    assert "\x1b[" not in on_a_terminal("explain", "--no-color").out
    assert "\x1b[" not in on_a_terminal("explain", NO_COLOR="1").out
    assert "\x1b[" not in on_a_terminal("explain", TERM="dumb").out
    assert "\x1b[" in on_a_terminal("explain", NO_COLOR="").out  # empty means unset


def test_talk_goes_to_stderr_and_quiet_silences_it(tmp_path: Path) -> None:
    words = ("init", "a", "--symbol", "EURUSD", "--max-volume", "0.01")
    loud = run_process(*words, cwd=tmp_path)
    assert "goes to the terminal's machine" in loud.err
    assert loud.out.count("\n") == 2
    quiet = run_process("init", "b", *words[2:], "--quiet", cwd=tmp_path)
    assert quiet.err == ""
    assert quiet.out.count("\n") == 2


def test_json_prints_one_object_and_no_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    out = Console(json=True, colour=True)
    out.line("never")
    out.table(("A",), [("never",)])
    out.fields([("never", 1)])
    assert out.finish("ping", Answer(1, {"x": datetime(2030, 1, 1, tzinfo=UTC)})) == 1
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert json.loads(text) == {
        "schema": "ztb.ping/1",
        "exit": 1,
        "ok": False,
        "x": "2030-01-01T00:00:00Z",
    }


def test_a_brokers_text_cannot_steer_the_terminal() -> None:
    assert plain("ok\x1b[2Jboo\r\n\tx\u202e") == "ok [2Jboo   x "


def test_a_pipe_whose_reader_left_ends_quietly() -> None:
    done = subprocess.run(
        f"{sys.executable} -m bridge_client explain | head -n 1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("CODE")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("ms", "wanted"),
    [(0, "0 s"), (-5, "0 s"), (90_000, "90 s"), (150_000, "2 min"), (7_200_000, "2 h"),
     (172_800_000, "2 d")],
)  # fmt: skip
def test_durations_read_as_people_say_them(ms: int, wanted: str) -> None:
    assert age(ms) == wanted


def test_moments_are_utc_to_the_millisecond() -> None:
    assert moment(1_700_000_000_123) == "2023-11-14 22:13:20.123Z"
    assert moment(0) == ""
