"""Every row of the crash matrix: one knowable outcome, as the table says, at most one submission.

The short form plays each row once, the long one 20 times, a soak 500 times.
"""

from __future__ import annotations

import pytest

from tests.crash.matrix import SCENARIOS, Matrix
from tests.crash.stage import Stage
from tests.crash.table import DISKS, POINTS, RECOVERIES, Point

# Points of the table that are about other machines than ours, or about the EA: not on this path.
# Of the MetaTrader 4 path: tests/mql4/crash_table.py. 46 needs MetaTrader 5.
_ELSEWHERE = {19, 20, 21, 22, 26, 27, 42, 46}
_ROWS = POINTS + DISKS + RECOVERIES
_rows = pytest.mark.parametrize("point", _ROWS, ids=[point.id for point in _ROWS])


def _play(matrix: Matrix, stage: Stage, request: pytest.FixtureRequest, point: Point) -> None:
    if point.needs_faults and stage.no_faults:
        pytest.skip(stage.no_faults)
    for turn, played in enumerate(matrix.wait(request.node.nodeid)):
        assert played.end in point.allowed(turn), turn


@_rows
def test_a_crash_leaves_the_outcome_that_the_table_says(
    matrix: Matrix, stage: Stage, request: pytest.FixtureRequest, point: Point
) -> None:
    _play(matrix, stage, request, point)


@pytest.mark.long
@_rows
def test_a_crash_leaves_the_outcome_that_the_table_says_each_time(
    matrix: Matrix, stage: Stage, request: pytest.FixtureRequest, point: Point
) -> None:
    _play(matrix, stage, request, point)


def test_the_table_has_every_point_of_the_paper_path() -> None:
    assert {point.number for point in POINTS + DISKS} == set(range(1, 47)) - _ELSEWHERE
    assert {point.how for point in _ROWS} == set(SCENARIOS)


def test_what_depends_on_the_joint_commit_is_played_in_both_forms() -> None:
    forms = {number: {point.form for point in POINTS if point.number == number}
             for number in (11, 12, 14, 16, 17, 18, 23, 25, 28, 29, 30, 31)}  # fmt: skip
    assert all(found == {"joined", "split"} for found in forms.values()), forms
