"""Ends a test run with one table of what the scenarios came to."""

from __future__ import annotations

from typing import Final

import pytest

from tests.acceptance.language import load_all
from tests.acceptance.table import Result, by_group

_outcomes: Final[dict[str, bool]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember how each case ended; its call, or whatever kept it from being called."""
    for name, value in report.user_properties:
        if name == "case":
            _outcomes[str(value)] = _outcomes.get(str(value), True) and not report.failed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not _outcomes:
        return  # reading every scenario takes seconds
    results = [Result(one, _outcomes[one.name]) for one in load_all() if one.name in _outcomes]
    if results:
        terminalreporter.section("scenarios")
        for line in by_group(results):
            terminalreporter.write_line(line)
