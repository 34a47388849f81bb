"""Prints what the simulator played, also when worker processes did."""

from __future__ import annotations

from typing import Final

import pytest

__all__ = ["COUNTED", "SCHEDULES"]

# What a test records: a row as it is printed; the counts of a part of the schedules.
_ROW: Final = "simulated"
SCHEDULES: Final = "schedules"
COUNTED: Final = ("schedules", "orders", "submissions", "crashes")
_rows: Final[list[str]] = []
_counts: Final[list[list[int]]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take a test's row for the table."""
    if report.when == "call":
        for name, value in report.user_properties:
            if name == _ROW:
                _rows.append(str(value))
            elif name == SCHEDULES and isinstance(value, list):
                _counts.append(value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, once there is one."""
    if _counts:
        sums = [sum(column) for column in zip(*_counts, strict=True)]
        shown = "  ".join(f"{n} {name}" for name, n in zip(COUNTED, sums, strict=True))
        _rows.append(f"all played{'':42} {shown}  0 broken")
    if _rows:
        terminalreporter.section("simulated schedules")
        for row in sorted(_rows):
            terminalreporter.write_line(row)
