"""What every test shares: Hypothesis profiles, and skips that must not be (ZTB_REQUIRE)."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Short runs are the same each time, so a red test is about the change that made it red.
settings.register_profile("short", deadline=None, derandomize=True, database=None, max_examples=100)
settings.register_profile(
    "long",
    deadline=None,
    database=None,
    max_examples=2_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("soak", parent=settings.get_profile("long"), max_examples=50_000)
settings.load_profile("short")

# A skip for the platform's sake is always honest; its reason begins with this word.
_PLATFORM = "platform"
_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember each skip that something installable would have prevented."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not reason.startswith(_PLATFORM):
            _skipped.append(f"{report.nodeid}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With ZTB_REQUIRE set a skip is a failure."""
    if _skipped and os.environ.get("ZTB_REQUIRE") and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped, and that ZTB_REQUIRE minds."""
    if _skipped and os.environ.get("ZTB_REQUIRE"):
        terminalreporter.section("ZTB_REQUIRE is set: these skips are failures")
        for line in _skipped:
            terminalreporter.write_line(line)
