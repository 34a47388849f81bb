"""What the scenarios came to, as one table: by group in a test run, by case in `python -m`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.acceptance.language import Case

__all__ = ["Result", "by_case", "by_group", "ranges"]


class Result(NamedTuple):
    """One case and whether it passed; `why` is the first line of a failure."""

    case: Case
    passed: bool
    why: str = ""


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as `1-12, 14, 20-22`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def by_group(results: Sequence[Result]) -> list[str]:
    """Return one line a group, and their sum."""
    rows = [("group", "scenarios", "cases", "passed", "numbers of the catalogue")]
    rows += [
        _sum(group, [one for one in results if one.case.group == group])
        for group in sorted({result.case.group for result in results})
    ]
    if len(rows) > 2:
        rows.append(_sum("all", results))
    return _lines(rows)


def _sum(name: str, results: Sequence[Result]) -> tuple[str, str, str, str, str]:
    scenarios = {(one.case.file, one.case.title) for one in results}
    numbers = [number for one in results for number in one.case.numbers]
    covered = ranges(numbers) if name != "all" else f"{len(set(numbers))} of them"
    passed = sum(one.passed for one in results)
    return name, str(len(scenarios)), str(len(results)), str(passed), covered


def by_case(results: Sequence[Result]) -> list[str]:
    """Return one line a case: number, what it says, section of protocol.md, result."""
    rows = [("number", "case", "protocol.md", "result")]
    for case, passed, why in results:
        said = f"{case.title}: {case.values}" if case.values else case.title
        rows.append((case.label, said[:110], case.section, "passed" if passed else f"FAILED {why}"))
    return _lines(rows)
