"""Small MQL4 programs, many to a file, for calibration and for language tests.

A file holds programs one after the other:

    //// comma_operator | error | L401
    int OnInit() { int a = (1, 2); return(a); }

The heading gives the name, the compiler's verdict (`error`, `warning`, `clean`; `subset` if the
compiler takes it and the project does not; `run` with what the program prints in `//> ` lines) and,
unless it is clean, what must be said of it: a lint code, the name of a warning of g++, or `error`
for an error of g++. `#property strict` stands in the
heading's line, so that the heading is line 1; with `| raw` behind the expectation it does not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["CALIBRATION", "LANGUAGE", "Program", "load", "printed"]

HERE: Final = Path(__file__).resolve().parent
CALIBRATION: Final = HERE / "calibration"
LANGUAGE: Final = HERE / "language"
HEADING: Final = re.compile(r"^//// (?P<rest>.*)$", re.MULTILINE)


class Program(NamedTuple):
    """One program and what is expected of it."""

    name: str
    source: str
    verdict: str
    expectation: str


def load(folder: Path) -> list[Program]:
    """All programs of a folder, by file and place; a name used twice is an error."""
    programs: list[Program] = []
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text("utf-8")
        starts = list(HEADING.finditer(text))
        for at, start in enumerate(starts):
            end = starts[at + 1].start() if at + 1 < len(starts) else len(text)
            programs.append(_program(start["rest"], text[start.end() : end], path))
    names = [program.name for program in programs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"programs of the same name: {twice}")
    return programs


def _program(heading: str, body: str, path: Path) -> Program:
    name, verdict, expectation, raw = (part.strip() for part in (heading + "|||").split("|", 4)[:4])
    if verdict not in ("error", "warning", "clean", "subset", "run"):
        raise ValueError(f"{path}: {name}: no verdict {verdict!r}")
    first = "" if raw == "raw" else "#property strict"
    return Program(name, first + body.rstrip() + "\n", verdict, expectation)


def printed(program: Program) -> list[str]:
    """The lines that a program of verdict `run` has to print."""
    return re.findall(r"^//> ?(.*)$", program.source, re.MULTILINE)
