"""Every crash point of the path to MetaTrader 5: one knowable outcome, as the table says.

Server, worker and connector are the real ones, each in its own process or thread, and die for real
(SIGKILL); terminal and broker are the stand-in's. The short form plays each row once, the long one
20 times and each of its places.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from tests.mt5.crash_house import CrashStage
from tests.mt5.crash_play import SCENARIOS, play
from tests.mt5.crash_table import ORDERS, ROWS, TIMES, Row
from tests.support.crash_matrix import Matrix

_HOUSES: Final = 12  # at the same time; most of the time they wait
_TIMES: Final = 500 if os.environ.get("ZTB_SOAK") else TIMES


def _rows(*rows: Row) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.id for row in rows])


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Iterator[Matrix[Row]]:
    with CrashStage() as stage, Matrix(partial(play, stage), _HOUSES) as made:
        made.begin(request, lambda row: row.times(_TIMES), _account, no_faults=stage.no_faults)
        yield made


def _account(row: Row, turn: int) -> str:
    return row.turn(turn)[1].margin_mode


@_rows(*ROWS)
def test_a_crash_leaves_the_outcome_that_the_table_says(
    matrix: Matrix[Row], request: pytest.FixtureRequest, row: Row
) -> None:
    matrix.judge(request, row)


@pytest.mark.long
@_rows(*ROWS)
def test_a_crash_leaves_the_outcome_that_the_table_says_each_time(
    matrix: Matrix[Row], request: pytest.FixtureRequest, row: Row
) -> None:
    matrix.judge(request, row)


def test_the_table_has_every_point_of_this_path_and_every_kind_of_order() -> None:
    points = {13, 15, 16, 17, 18, 22, 24, 25, 27, 28, 37, 42, 46}
    assert {row.number for row in ROWS} >= points
    assert {place.how for row in ROWS for place in row.places} == set(SCENARIOS)
    assert {row.turn(0)[1] for row in ROWS} >= set(ORDERS)
