"""What every test shares: Hypothesis profiles, the canary, skips that must not be (ZTB_REQUIRE)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.acceptance import summary as scenarios
from tests.simulation import summary as schedules
from tests.support.canary_plugin import CanaryPlugin

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


def pytest_configure(config: pytest.Config) -> None:
    """Let no secret of this run lie about (tests/support/canary.py)."""
    # Before the canary gives each worker a temporary folder of its own (tests/support/running.py).
    os.environ.setdefault("ZTB_TEST_PORTS", tempfile.gettempdir())
    config.pluginmanager.register(CanaryPlugin(), "canary")
    # Here and not beside their tests: with workers, the process that reports collects no folder.
    for tables in (scenarios, schedules):
        config.pluginmanager.register(tables)


@pytest.fixture(scope="session", autouse=True)
def _canary(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    plugin = pytestconfig.pluginmanager.get_plugin("canary")
    assert isinstance(plugin, CanaryPlugin)
    with plugin.watching(tmp_path_factory.getbasetemp()):
        yield


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
