"""A server, or a worker, that dies again and again: nothing drifts, one outcome."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Final

import pytest

from bridge_client import Connector, Status
from bridge_core.protocol.chain import Head
from bridge_server.core.orders import OrderState
from bridge_server.journal import Journal
from bridge_server.record import verify_file
from tests.mt5.crash_house import CrashHouse, CrashStage
from tests.mt5.crash_table import DIE
from tests.support.doom import SUBJECT
from tests.support.fake_metatrader5.faults import EXECUTED, POINTS, Script
from tests.support.running import wait_until

_LOOPS: Final = 500 if os.environ.get("ZTB_SOAK") else 50
_ORDER: Final = f"{SUBJECT}-0"
_PATIENCE_S: Final = 60.0
_PLACES: Final = ("opened", "start commits", "start committed", "listening", "unknown commits",
                  "scan", "j3 begins", "j3 commits")  # fmt: skip
_CALLS: Final = ("terminal_info", "positions_get", "account_info", "symbol_info_tick", "orders_get")
_STATES: Final = [OrderState.DISPATCHING, OrderState.UNKNOWN, OrderState.FILLED]
_DEATHS: Final = tuple(itertools.product(_CALLS, POINTS))


@pytest.fixture(scope="module")
def stage() -> Iterator[CrashStage]:
    with CrashStage() as made:
        yield made


def _row(house: CrashHouse, rid: str) -> tuple[OrderState, int]:
    path = house.folder / "server/state/journal.db"
    head = verify_file(path)
    assert isinstance(head, Head)
    with closing(Journal(path)) as journal:
        row = journal.get(rid)
        assert row is not None
        return row.state, head.size


def _killed_in_its_call(house: CrashHouse, bridge: Connector) -> str:
    """Send an order that the broker executes while its server dies; return its id."""
    first = bridge.buy("EURUSD", "0.01", wait=_PATIENCE_S)
    assert first.status is Status.FILLED, first
    house.terminal.faults.script("order_send", EXECUTED, "kill_pid", pid=house.server_pid)
    sent = bridge.buy("EURUSD", "0.01", client_order_id=_ORDER, wait=0.0)
    house.child.died(_PATIENCE_S)
    return sent.rid


def _is_met(fault: Script) -> bool:
    return not fault.times


def _is_found(house: CrashHouse, bridge: Connector) -> None:
    found = bridge.wait(_ORDER, _PATIENCE_S)
    assert (found.status, found.evidence) == (Status.FILLED, "TAG"), found
    house.ready()
    again = bridge.buy("EURUSD", "0.01", client_order_id=_ORDER, wait=_PATIENCE_S)
    assert (again.status, again.ticket) == (Status.FILLED, found.ticket)
    assert house.broker.begun() == 2


def _server_loop(stage: CrashStage, times: int) -> None:
    with stage.open() as house:
        house.ready()
        with house.connector() as bridge:
            rid = _killed_in_its_call(house, bridge)
            seen, grown = [OrderState.DISPATCHING], 0
            for place in itertools.islice(itertools.cycle(_PLACES), times):
                # A place that this start does not come to: it dies once it is ready.
                house.start_server({place: DIE, "ready": DIE})
                house.child.died(_PATIENCE_S)
                state, size = _row(house, rid)
                assert size >= grown
                grown = size
                if state is not seen[-1]:
                    seen.append(state)
            assert seen == _STATES[: len(seen)]
            house.start_server()
            _is_found(house, bridge)
    house.judge()


def _worker_loop(stage: CrashStage, times: int) -> None:
    with stage.open() as house:
        house.ready()
        with house.connector() as bridge:
            _killed_in_its_call(house, bridge)
            before = {call.pid for call in house.terminal.calls}
            house.start_server()
            for name, point in itertools.islice(itertools.cycle(_DEATHS), times):
                one = house.terminal.faults.script(name, point, "kill_worker")
                wait_until(partial(_is_met, one), _PATIENCE_S)
            _is_found(house, bridge)
            after = {call.pid for call in house.terminal.calls} - before
            assert len(after) > times // 2, "there were to be many workers"
            house.ready()
    house.judge()


def test_a_server_in_a_crash_loop_keeps_one_outcome_and_a_whole_record(stage: CrashStage) -> None:
    _server_loop(stage, len(_PLACES))


@pytest.mark.long
def test_a_server_that_dies_fifty_times_keeps_one_outcome_and_a_whole_record(
    stage: CrashStage,
) -> None:
    _server_loop(stage, _LOOPS)


def test_a_worker_in_a_crash_loop_costs_time_and_nothing_else(stage: CrashStage) -> None:
    _worker_loop(stage, 5)


@pytest.mark.long
def test_a_worker_that_dies_fifty_times_costs_time_and_nothing_else(stage: CrashStage) -> None:
    _worker_loop(stage, _LOOPS)
