"""The lint against a real compiler's verdicts, and every rule against a program that breaks it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from tests.mql4 import calibrate
from tests.mql4.needs import needs_compiler
from tests.mql4.programs import CALIBRATION, load
from tests.mql4.translator.findings import RULES

PROGRAMS: Final = {program.name: program for program in load(CALIBRATION)}
LINT: Final = {name: one for name, one in PROGRAMS.items() if one.expectation.startswith("L")}
# Rules about bytes and folders: test_lint.py breaks them.
ELSEWHERE: Final = {"L101", "L102"}


@pytest.fixture(scope="module")
def by_lint() -> dict[str, calibrate.Outcome]:
    return {o.program.name: o for o in calibrate.judge(list(PROGRAMS.values()), lint_only=True)}


@pytest.fixture(scope="module")
def by_both() -> dict[str, calibrate.Outcome]:
    return {o.program.name: o for o in calibrate.judge(list(PROGRAMS.values()), lint_only=False)}


@pytest.mark.parametrize("name", LINT)
def test_a_broken_rule_is_named(name: str, by_lint: dict[str, calibrate.Outcome]) -> None:
    assert LINT[name].expectation in by_lint[name].lint


@needs_compiler
@pytest.mark.parametrize("name", [n for n, one in PROGRAMS.items() if one.verdict == "clean"])
def test_a_clean_program_is_left_alone(name: str, by_both: dict[str, calibrate.Outcome]) -> None:
    assert by_both[name].lint == ()
    assert by_both[name].compiled == ()


@needs_compiler
@pytest.mark.parametrize(
    "name", [n for n, one in PROGRAMS.items() if one.verdict != "clean" and n not in LINT]
)
def test_what_needs_types_is_left_to_the_compiler(
    name: str, by_both: dict[str, calibrate.Outcome]
) -> None:
    assert by_both[name].lint == ()
    said = by_both[name].compiled or ()
    assert any(text.startswith(PROGRAMS[name].expectation) for text in said), said


def test_every_rule_is_broken_by_some_program() -> None:
    assert {one.expectation for one in LINT.values()} | ELSEWHERE == set(RULES)


def test_the_lint_alone_refuses_most_of_what_a_compiler_refuses(
    by_lint: dict[str, calibrate.Outcome],
) -> None:
    assert calibrate.lint_share(list(by_lint.values())) >= calibrate.REFUSED_MIN


def test_the_command_takes_a_file_of_verdicts_and_prints_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = {
        "good": {"source": "#property strict\nvoid OnTick() {}\n", "verdict": "clean"},
        "bad": {"source": "#property strict\nauto x = 1;\n", "verdict": "error"},
        "harsh": {"source": "#property strict\nint *p;\n", "verdict": "clean"},
    }
    path = tmp_path / "verdicts.json"
    path.write_text(json.dumps(verdicts), "utf-8")
    assert calibrate.main([str(path), "--lint-only", "--misses"]) == 0
    shown = capsys.readouterr().out
    assert "  1 refused by the compiler: flagged here by the lint 1" in shown
    assert "  2 clean by the compiler: flagged here by the lint 1" in shown
    assert "false alarm: harsh L309" in shown


def test_the_command_fails_where_the_lint_misses_more_than_a_fifth(tmp_path: Path) -> None:
    source = "#property strict\nvoid OnTick() {}\n"
    missed = {f"m{at}": {"source": source, "verdict": "error"} for at in range(2)}
    path = tmp_path / "verdicts.json"
    path.write_text(json.dumps(missed), "utf-8")
    assert calibrate.main([str(path), "--lint-only"]) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"a": {}}', "no json"])
def test_what_is_no_file_of_verdicts_is_said_so(text: str, tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    path.write_text(text, "utf-8")
    assert calibrate.main([str(path), "--lint-only"]) == 2


def test_programs_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("//// x | clean\n//// x | clean\n", "utf-8")
    with pytest.raises(ValueError, match="same name"):
        load(tmp_path)
