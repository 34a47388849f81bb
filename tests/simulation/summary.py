"""Prints what the simulator played, also when worker processes did."""

from __future__ import annotations

from typing import Final

import pytest

_ROW: Final = "simulated"
_rows: Final[list[str]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take a test's row for the table."""
    if report.when == "call":
        _rows.extend(str(value) for name, value in report.user_properties if name == _ROW)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, once there is one."""
    if _rows:
        terminalreporter.section("simulated schedules")
        for row in sorted(_rows):
            terminalreporter.write_line(row)
