"""What translated programs do when they run: the language as the terminal has it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.mql4.needs import needs_compiler
from tests.mql4.programs import LANGUAGE, Program, load, printed
from tests.mql4.toolchain import HARNESS, STANDARD, compiler
from tests.mql4.translator.emitter import HEAD
from tests.mql4.translator.translate import translate

pytestmark = needs_compiler

PROGRAMS: Final = {program.name: program for program in load(LANGUAGE)}
INPUTS: Final = (
    "Lots=0.02", "Name=from outside", "Flag=true", "Count=7", "Limit=3",
    "Count=seven", "Count=7000000000", "Flag=1", "Absent=1", "Lots=",
)  # fmt: skip
REFUSED: Final = {"Count=seven", "Count=7000000000", "Flag=1", "Absent=1", "Lots="}


def unit_of(programs: list[Program], folder: Path) -> str:
    """All programs as one C++ unit, with the table that the host runs."""
    parts, rows = [HEAD], []
    for at, program in enumerate(programs):
        path = folder / f"{program.name}.mq4"
        path.write_text(program.source, "utf-8")
        made = translate(path, (), None, f"p{at}")
        assert made.findings == []
        parts.append(made.cpp)
        rows.append(f'{{"{program.name}", p{at}::hooks}}')
    parts.append(
        "struct NamedProgram { const char *name; void (*hooks)(MqlHooks &); };\n"
        "extern const NamedProgram programs[];\nextern const int programs_count;\n"
        f"const NamedProgram programs[] = {{{', '.join(rows)}}};\n"
        f"const int programs_count = {len(rows)};\n"
    )
    return "".join(parts)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What every program said, from one compilation and one run."""
    folder = tmp_path_factory.mktemp("language")
    (folder / "unit.cpp").write_text(unit_of(list(PROGRAMS.values()), folder), "utf-8")
    sources = [folder / "unit.cpp", LANGUAGE / "host.cpp", *sorted(HARNESS.glob("runtime/*.cpp"))]
    built = subprocess.run(
        ["nice", "-n", "5", str(compiler()), *STANDARD, "-O0", "-fsanitize=undefined", "-w", "-o",
         str(folder / "host"), *map(str, sources)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    ran = subprocess.run(
        [str(folder / "host"), *INPUTS], capture_output=True, text=True, check=True, timeout=300
    )
    lines: dict[str, list[str]] = {name: [] for name in [*PROGRAMS, "input"]}
    for line in ran.stdout.splitlines():
        name, text = line.split("\t", 1)
        lines[name].append(text)
    running = ""
    for line in ran.stderr.splitlines():
        if line.startswith("== "):
            running = line[3:]
        elif "runtime error" in line:
            place = line.split(": runtime error")[0]
            lines[running].append("sanitizer: " + ":".join(Path(place).name.split(":")[:2]))
    return lines


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_says_what_the_terminal_would_say(name: str, said: dict[str, list[str]]) -> None:
    expected = printed(PROGRAMS[name])
    assert expected, "a program without an expectation proves nothing"
    assert said[name] == expected


def test_an_input_takes_values_of_its_type_only(said: dict[str, list[str]]) -> None:
    assert {line.removesuffix(" refused") for line in said["input"]} == REFUSED
