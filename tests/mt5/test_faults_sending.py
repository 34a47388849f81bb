"""Each way to lose the answer of `order_send`, at each point of the call, for each order.

Through connector, server, worker and terminal, all of them real processes but the last. The table
is `fault_rows`: what each row may end in is data, and the judge has the last word (S1 to S7).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mt5.fault_rows import LOSSES, PLACES, Row, rows
from tests.mt5.trial import Trial, trial_in
from tests.support.fake_metatrader5.faults import Script

_QUICK = [row for row in rows() if row.quick]
_REST = [row for row in rows() if not row.quick]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial_in(tmp_path_factory.mktemp("sending")) as trial:
        yield trial


def _run(trial: Trial, row: Row) -> None:
    point, kind, how = row.script
    scripted: list[Script] = []
    ended = trial.meet(
        row.order, lambda: scripted.append(trial.script("order_send", point, kind, **how))
    )
    assert not scripted[0].times, "the fault was never met"
    assert ended.word in row.may, ended
    assert ended.runs == row.runs, ended
    assert ended.sent <= 1, ended


@pytest.mark.parametrize("row", _QUICK, ids=lambda row: row.name)
def test_a_lost_answer_ends_in_the_truth_and_in_one_order_at_most(trial: Trial, row: Row) -> None:
    _run(trial, row)


@pytest.mark.long
@pytest.mark.parametrize("row", _REST, ids=lambda row: row.name)
def test_every_other_lost_answer_does_too(trial: Trial, row: Row) -> None:
    _run(trial, row)


def test_the_quick_rows_leave_out_no_loss_and_no_place() -> None:
    losses = {row.loss for row in _QUICK}
    same_family = {name for name in LOSSES if name.startswith("retcode")}
    assert losses >= set(LOSSES) - same_family
    assert {row.place for row in _QUICK} == set(PLACES)
    assert len(_QUICK) + len(_REST) == len({row.name for row in rows()})
