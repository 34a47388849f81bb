"""A server, or a strategy, that dies again and again: nothing drifts, one outcome."""

from __future__ import annotations

import itertools
import os
from contextlib import closing
from typing import Final

import pytest

from bridge_core.protocol.chain import Head
from bridge_server.core.orders import OrderState
from bridge_server.journal import Journal
from bridge_server.record import verify_file
from tests.crash.dying import buy, concluded, opened, settled
from tests.crash.stage import FIRST, Run
from tests.crash.table import ABSENT, FOUND, POINTS
from tests.crash.verdict import connector_row, judge_run
from tests.support.doom import SUBJECT

_LOOPS: Final = 500 if os.environ.get("ZTB_SOAK") else 50
_PLACES: Final = ("opened", "start commits", "start committed", "listening", "unknown commits",
                  "scan", "j3 begins", "j3 commits")  # fmt: skip


def _state(run: Run, rid: str) -> tuple[OrderState, str, int]:
    head = verify_file(run.journal)
    assert isinstance(head, Head)
    with closing(Journal(run.journal)) as journal:
        row = journal.get(rid)
        assert row is not None
        return row.state, row.evidence, head.size


def _server_loop(run: Run, times: int) -> None:
    server = run.serve({"did": [["die"]]})
    bridge = opened(run)
    buy(bridge, POINTS[0])
    server.died()
    row = connector_row(run.client_journal())
    assert row is not None
    seen, grown = [OrderState.DISPATCHING], 0
    for place in itertools.islice(itertools.cycle(_PLACES), times):
        # A place that this start does not come to: it dies once it is ready, by the same signal.
        again = run.serve({place: [["die"]], "ready": [["die"]]}, ready=False)
        again.died()
        state, _, size = _state(run, row.rid)
        assert size >= grown
        grown = size
        if state is not seen[-1]:
            seen.append(state)
    assert seen in ([OrderState.DISPATCHING, OrderState.UNKNOWN],
                    [OrderState.DISPATCHING, OrderState.UNKNOWN, OrderState.FILLED])  # fmt: skip
    end = concluded(run, run.serve(), settled(bridge))
    assert end == FOUND


def _client_loop(run: Run, times: int) -> None:
    # The broker holds the order until the strategy has died for the last time.
    server = run.serve(hold={SUBJECT: "never"})
    run.trade({"sent": [["stall", 100], ["die"]]}).died()
    for _ in range(times):
        with run.trade(orders=(FIRST,)) as again:
            assert again.expect(FIRST)["code"] == "UNFINISHED"
    row = connector_row(run.client_journal())
    assert row is not None
    assert not row.view.final
    server.kill()
    server = run.serve()
    assert judge_run(run, server) == ABSENT


def test_a_server_in_a_crash_loop_keeps_one_outcome_and_a_whole_record(run: Run) -> None:
    _server_loop(run, len(_PLACES))


@pytest.mark.long
def test_a_server_that_dies_fifty_times_keeps_one_outcome_and_a_whole_record(run: Run) -> None:
    _server_loop(run, _LOOPS)


def test_a_strategy_in_a_crash_loop_signs_nothing_new_while_its_order_is_open(run: Run) -> None:
    _client_loop(run, 2)


@pytest.mark.long
def test_a_strategy_that_dies_fifty_times_signs_nothing_new_meanwhile(run: Run) -> None:
    _client_loop(run, _LOOPS)
