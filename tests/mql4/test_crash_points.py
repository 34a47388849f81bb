"""Every crash point of the hop to the Advisor: one knowable outcome, as the table says.

Server, terminal and connector are the real ones, each in its own process or thread, and die for
real (SIGKILL). The short form plays each row once, the long one 20 times, at all its places.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.mql4.crash_house import CrashStage
from tests.mql4.crash_play import SCENARIOS, Matrix, summary
from tests.mql4.crash_table import CLOSES, HANGS, ROWS, TIMES, Row
from tests.mql4.needs import needs_compiler

_HOUSES: Final = 24  # at the same time; most of the time they wait


def _rows(*rows: Row) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.id for row in rows])


def _row_of(item: pytest.Item) -> Row | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params["row"] if callspec is not None else None


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Iterator[Matrix]:
    needs_compiler()
    items = [item for item in request.session.items if item.path == request.path]
    with CrashStage() as stage:
        made = Matrix(stage, _HOUSES)
        try:
            for item in items:
                row = _row_of(item)
                if row is not None and not (row.faults and stage.no_faults):
                    times = row.times if item.get_closest_marker("long") else 1
                    made.begin(item.nodeid, row, times)
            yield made
        finally:
            made.close()


def _judge(matrix: Matrix, request: pytest.FixtureRequest, row: Row) -> None:
    if not matrix.has(request.node.nodeid):
        pytest.skip("a faulty disk (install gcc)")
    played = matrix.wait(request.node.nodeid)
    print(summary(row, played))


@_rows(*ROWS)
def test_a_crash_leaves_the_outcome_that_the_table_says(
    matrix: Matrix, request: pytest.FixtureRequest, row: Row
) -> None:
    _judge(matrix, request, row)


@pytest.mark.long
@_rows(
    HANGS, *sorted(ROWS + CLOSES, key=lambda row: row.long_turns, reverse=True)
)  # the longest first
def test_a_crash_leaves_the_outcome_that_the_table_says_each_time(
    matrix: Matrix, request: pytest.FixtureRequest, row: Row
) -> None:
    _judge(matrix, request, row)


def test_the_table_has_every_point_of_the_hop() -> None:
    assert {row.number for row in ROWS} == {*range(16, 29), 37, 42}
    assert {place.how for row in ROWS for place in row.places} == set(SCENARIOS)
    assert all(row.times >= TIMES for row in ROWS)
