"""How near the lint is to a real compiler: programs with verdicts, against ours.

    python -m tests.mql4.calibrate [FILE] [--lint-only] [--misses]

FILE is JSON, {name: {"source": text, "verdict": "error"|"warning"|"clean", "codes": [numbers]}},
as a stand-alone MQL4 compiler said it. Without FILE: the programs of tests/mql4/calibration/.
Prints how many of the refused are refused here (by the lint alone, and with g++ behind it), how
many warned of are flagged, and which clean ones are refused all the same (false alarms: partly
strictness by choice, see mql4/README.md). Exit code 1 if the lint alone misses more than a fifth of
what the compiler refuses.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.mql4.diagnostics import compile_unit
from tests.mql4.programs import CALIBRATION, Program, load
from tests.mql4.toolchain import MISSING, compiler
from tests.mql4.translator.emitter import HEAD
from tests.mql4.translator.translate import Translation, translate

__all__ = ["REFUSED_MIN", "VERDICTS", "Outcome", "judge", "main", "read_verdicts", "table"]

VERDICTS: Final = ("error", "warning", "clean")
# The share of the compiler's refusals that the lint alone has to find.
REFUSED_MIN: Final = 0.8


class Outcome(NamedTuple):
    """What we say of one program; `compiled` is None where g++ did not look at it."""

    program: Program
    lint: tuple[str, ...]  # codes of the lint
    compiled: tuple[str, ...] | None  # messages of g++

    @property
    def refused(self) -> bool:
        """Whether anything was found."""
        return bool(self.lint) or bool(self.compiled)


def judge(programs: Sequence[Program], *, lint_only: bool) -> list[Outcome]:
    """Our verdict on each program; all that pass the lint go through g++ in two compilations."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {
            program.name: _translated(program, folder, f"p{at}")
            for at, program in enumerate(programs)
        }
        said: dict[str, set[str]] = {}
        if not lint_only:
            units = {key: one.cpp for key, one in made.items() if one.cpp}
            said = _compiled(units, folder, ("-fsyntax-only",))
            rest = {key: cpp for key, cpp in units.items() if not said[key]}
            said |= _compiled(rest, folder, ("-O1",))
    return [
        Outcome(
            program,
            tuple(sorted({finding.code for finding in made[program.name].findings})),
            tuple(sorted(said[program.name])) if program.name in said else None,
        )
        for program in programs
    ]


def _translated(program: Program, folder: Path, namespace: str) -> Translation:
    path = folder / f"{program.name}.mq4"
    path.write_text(program.source, "utf-8")
    made = translate(path, (), None, namespace)
    # Two programs may declare one DLL function differently; each gets its own.
    return made._replace(cpp=made.cpp.replace("mqldll_", f"mqldll_{namespace}_"))


def _compiled(
    units: Mapping[str, str], folder: Path, options: Sequence[str]
) -> dict[str, set[str]]:
    """What g++ says of each program: its messages stand at the program's own file."""
    said: dict[str, set[str]] = {name: set() for name in units}
    if not units:
        return said
    for message in compile_unit(HEAD + "".join(units.values()), folder, options):
        name = Path(message.path).stem
        if name not in said:
            raise RuntimeError(f"g++ blames no program: {message}")
        said[name].add(f"{message.code}: {message.text}")
    return said


def read_verdicts(path: Path) -> list[Program]:
    """Programs of a JSON file of verdicts.

    Raises OSError or ValueError (KeyError, JSON) if it is no such file.
    """
    content = json.loads(path.read_text("utf-8"))
    return [Program(name, entry["source"], entry["verdict"], "") for name, entry in content.items()]


def table(outcomes: Sequence[Outcome], *, lint_only: bool) -> list[str]:
    """The figures as lines of text."""
    lines = []
    for verdict in VERDICTS:
        mine = [outcome for outcome in outcomes if outcome.program.verdict == verdict]
        lint = sum(bool(outcome.lint) for outcome in mine)
        both = sum(outcome.refused for outcome in mine)
        word = {"error": "refused", "warning": "warned of", "clean": "clean"}[verdict]
        with_compiler = "" if lint_only else f", with g++ {both}"
        lines.append(
            f"{len(mine):3} {word} by the compiler: flagged here by the lint {lint}{with_compiler}"
        )
    return lines


def _details(outcomes: Sequence[Outcome]) -> list[str]:
    lines = []
    for outcome in outcomes:
        expected = outcome.program.verdict != "clean"
        if outcome.refused != expected:
            why = [*outcome.lint, *(outcome.compiled or ())]
            kind = "missed" if expected else "false alarm"
            lines.append(f"  {kind}: {outcome.program.name} {' '.join(why)}".rstrip())
    return lines


def lint_share(outcomes: Sequence[Outcome]) -> float:
    """The share of the compiler's refusals that the lint alone refuses."""
    refused = [outcome for outcome in outcomes if outcome.program.verdict == "error"]
    return sum(bool(outcome.lint) for outcome in refused) / len(refused) if refused else 1.0


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mql4.calibrate")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--lint-only", action="store_true", help="no compiler needed")
    parser.add_argument("--misses", action="store_true", help="name every disagreement")
    arguments = parser.parse_args(argv)
    lint_only = bool(arguments.lint_only)
    if not lint_only and compiler() is None:
        print(f"lint only, for there is no C++ compiler: {MISSING}", file=sys.stderr)
        lint_only = True
    try:
        programs = read_verdicts(arguments.file) if arguments.file else load(CALIBRATION)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"{arguments.file}: no file of verdicts: {error}", file=sys.stderr)
        return 2
    outcomes = judge(programs, lint_only=lint_only)
    print("\n".join(table(outcomes, lint_only=lint_only)))
    if arguments.misses:
        print("\n".join(_details(outcomes)))
    share = lint_share(outcomes)
    print(f"the lint alone refuses {share:.0%} of what the compiler refuses")
    return 0 if share >= REFUSED_MIN else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
