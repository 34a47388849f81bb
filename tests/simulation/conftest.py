"""Prints what the simulator played."""

from __future__ import annotations

from typing import Any

from tests.simulation.tables import ROWS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, once there is one."""
    if ROWS:
        terminalreporter.section("simulated schedules")
        for name, what in ROWS:
            terminalreporter.write_line(f"{name:52} {what}")
