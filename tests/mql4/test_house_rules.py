"""The harness keeps the house's sizes, and its built-ins name the page they were taken from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.mql4.toolchain import HARNESS

ROOT: Final = HARNESS.parents[1]
LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 60
COLUMNS_MAX: Final = 100
SOURCES: Final = sorted(
    path
    for folder, patterns in ((HARNESS, ("*.cpp", "*.hpp", "*.mq4")), (ROOT / "mql4", ("*.mq?",)))
    for pattern in patterns
    for path in folder.rglob(pattern)
)
UMBRELLA: Final = (HARNESS / "builtins" / "builtins.hpp").read_text("utf-8")
HEADERS: Final = [
    HARNESS / "builtins" / f"{each}.hpp" for each in re.findall(r'"(\w+)\.hpp"', UMBRELLA)
]
_DECLARED: Final = re.compile(r"^(?:inline |\[\[nodiscard\]\] )*[\w<>:, ]+? [*&]?(?P<name>\w+)\(")
_PAGE: Final = re.compile(r"\b[a-z_]+/[a-z_0-9]+\b")


def functions(text: str) -> Iterator[tuple[int, int]]:
    """The first line and the length of each function that begins at a line's start."""
    began = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not began and line[:1].isalpha() and "(" in line and not line.endswith(";"):
            began = number
        elif began and line.rstrip() in ("}", "  }"):
            # MetaEditor's style closes a function two columns in; C++ at the margin.
            yield began, number - began + 1
            began = 0


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines_and_no_function_than_60(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= LINES_MAX
    long = [(first, size) for first, size in functions(text) if size > FUNCTION_LINES_MAX]
    assert not long, long


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.parent.name in ("builtins", "simulator")],
    ids=lambda path: path.name,
)
def test_no_line_is_wider_than_100_columns(path: Path) -> None:
    wide = [
        number
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if len(line) > COLUMNS_MAX
    ]
    assert not wide, wide


def unnamed(text: str) -> list[str]:
    """The functions declared in a header without a page in the comment above their group."""
    comment, missing = "", []
    before = ""
    for line in text.splitlines():
        if line.startswith("//"):
            comment = f"{comment}\n{line}" if before.startswith("//") else line
        match = _DECLARED.match(line)
        if match and not match["name"].startswith("mql_") and not _PAGE.search(comment):
            missing.append(match["name"])
        before = line
    return missing


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.name)
def test_every_built_in_names_its_page(path: Path) -> None:
    assert unnamed(path.read_text("utf-8")) == []


def test_a_built_in_without_a_page_would_be_found() -> None:
    text = "// math/mathabs\nint A();\n\n// as everybody knows\nint B();\n"
    assert unnamed(text) == ["B"]
    assert list(functions("int F() {\n  x;\n}\nvoid G()\n  {\n  }\n")) == [(1, 3), (4, 3)]


_RUNS: Final = re.compile(
    r"from tests\.mql4\.(?:core|crash_house|desk|hop|house|terminal|trade_desk) import"
)


def test_whatever_runs_the_source_says_that_it_needs_the_compiler() -> None:
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if _RUNS.search(path.read_text())]
    assert len(tests) > 20
    forgot = [path.name for path in tests if "pytestmark = needs_compiler" not in path.read_text()]
    assert forgot == []
