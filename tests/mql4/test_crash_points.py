"""Every crash point of the hop to the Advisor: one knowable outcome, as the table says.

Server, terminal and connector are the real ones, each in its own process or thread, and die for
real (SIGKILL). The short form plays each row once, the long one 20 times, at all its places.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from tests.mql4.crash_house import CrashStage
from tests.mql4.crash_play import SCENARIOS, play
from tests.mql4.crash_table import CLOSES, HANGS, ROWS, TIMES, Row
from tests.mql4.needs import needs_compiler
from tests.support.crash_matrix import Matrix

pytestmark = needs_compiler

_HOUSES: Final = 24  # at the same time; most of the time they wait


def _rows(*rows: Row) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.id for row in rows])


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Iterator[Matrix[Row]]:
    with CrashStage() as stage, Matrix(partial(play, stage), _HOUSES) as made:
        made.begin(request, lambda row: row.times, no_faults=stage.no_faults)
        yield made


@_rows(*ROWS)
def test_a_crash_leaves_the_outcome_that_the_table_says(
    matrix: Matrix[Row], request: pytest.FixtureRequest, row: Row
) -> None:
    matrix.judge(request, row)


@pytest.mark.long
@_rows(
    HANGS, *sorted(ROWS + CLOSES, key=lambda row: row.long_turns, reverse=True)
)  # the longest first
def test_a_crash_leaves_the_outcome_that_the_table_says_each_time(
    matrix: Matrix[Row], request: pytest.FixtureRequest, row: Row
) -> None:
    matrix.judge(request, row)


def test_the_table_has_every_point_of_the_hop() -> None:
    assert {row.number for row in ROWS} == {*range(16, 29), 37, 42}
    assert {place.how for row in ROWS for place in row.places} == set(SCENARIOS)
    assert all(row.times >= TIMES for row in ROWS)
