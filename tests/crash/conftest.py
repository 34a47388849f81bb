"""The matrix runs in a few pipelines while tests wait for their rows; then it is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from tests.crash.matrix import Matrix
from tests.crash.stage import Run, Stage
from tests.crash.table import POINTS, Point

PIPELINES: Final = 14
_SOAK: Final = bool(os.environ.get("ZTB_SOAK"))
_TIMES: Final = 500 if _SOAK else 20
_report: list[str] = []


def _times(item: pytest.Item, point: Point) -> int:
    """Return how often a test plays its row: short once; long a crash point 20 times, anything
    else at each of its places; soak 500 times.
    """
    if not item.get_closest_marker("long"):
        return 1
    return max(_TIMES if point in POINTS or _SOAK else 1, point.turns)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    if sys.platform == "win32":
        pytest.skip("platform: needs fork and SIGKILL")
    made = Stage(PIPELINES)
    yield made
    made.close()


@pytest.fixture(scope="session")
def matrix(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Matrix]:
    made = Matrix(stage, PIPELINES)
    for item in request.session.items:
        callspec = getattr(item, "callspec", None)
        point = callspec.params.get("point") if callspec is not None else None
        if isinstance(point, Point):
            made.begin(item.nodeid, point, _times(item, point))
    yield made
    made.close()
    _report.extend(made.report())


@pytest.fixture
def run(stage: Stage) -> Iterator[Run]:
    with stage.open() as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each row has shown."""
    if _report:
        terminalreporter.section(
            "crash matrix: each death by SIGKILL, each outcome as the table says"
        )
        for line in _report:
            terminalreporter.write_line(line)
