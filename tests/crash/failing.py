"""Rows of the matrix where a disk fails at any of its calls, or the power is cut.

The layer of tests/support/faulty_disk.c stands under the real SQLite of a real process.
"""

from __future__ import annotations

from typing import Final

from bridge_client import Connector, OrderResult
from bridge_server.core.trading_state import Cause
from tests.crash.dying import PATIENCE_S, Scenario, buy, opened
from tests.crash.stage import Run
from tests.crash.table import End, Point
from tests.crash.verdict import connector_row, judge_run
from tests.support.doom import SUBJECT
from tests.support.faulty_disk import cut_power
from tests.support.raw_client import RawClient
from tests.support.running import wait_until
from tests.support.zygote import Child

__all__ = ["FAILING"]

_LEDGER: Final = "ledger.jsonl"  # evidence for us, no disk of the bridge: no power cut takes it
_SEED: Final = 7


def _told_or_dead(bridge: Connector, server: Child) -> OrderResult:
    """Wait until the order has an outcome or the server has ended; end the connector."""
    told = bridge.wait(SUBJECT, 0.0)
    while not told.final and not server.gone(0.05):
        told = bridge.wait(SUBJECT, 0.05)
    bridge.close()
    return told


def _again(run: Run, told: OrderResult, server: Child) -> End:
    # What was told before is told for ever.
    end = judge_run(run, server)
    assert not told.final or (told.status, told.code) == (end.status, end.code)
    return end


def _causes(client: RawClient) -> set[str]:
    return {one.cause for one in client.hello().causes}


# --- the server -------------------------------------------------------------------------------


def server_journal_fails(run: Run, point: Point, turn: int) -> End:
    server = run.serve(point.server[turn % point.turns])
    bridge = opened(run)
    buy(bridge, point)
    told = _told_or_dead(bridge, server)
    if not told.final:
        assert server.ended() == 1
        assert run.account.state.joinpath("journal_fatal").exists()
    server.kill()
    server = run.serve()
    assert (Cause.JOURNAL_FATAL in _causes(run.raw())) == (not told.final)
    return _again(run, told, server)


def server_disk_fills(run: Run, point: Point, turn: int) -> End:
    disk = run.disk(run.account.state)
    server = run.serve(point.server[turn % point.turns], disk=disk)
    bridge = opened(run)
    buy(bridge, point)
    wait_until(lambda: disk.hits > 0 or bridge.wait(SUBJECT, 0.01).final, PATIENCE_S)
    client = run.raw()
    assert client.ping().status == "OK"
    disk.heal()
    told = bridge.wait(SUBJECT, PATIENCE_S)
    assert told.final, told
    bridge.close()
    # A refusal is told at once, and written as soon as there is room.
    wait_until(lambda: Cause.JOURNAL_FULL not in _causes(client), PATIENCE_S)
    server.kill()
    return _again(run, told, run.serve())


def broker_file_fails(run: Run, point: Point, turn: int) -> End:
    server = run.serve(point.server[turn % point.turns])
    bridge = opened(run)
    buy(bridge, point)
    told = bridge.wait(SUBJECT, PATIENCE_S)
    assert told.final, told
    bridge.close()
    server.kill()
    return _again(run, told, run.serve())


def _server_loses_power(*, some: bool) -> Scenario:
    def play(run: Run, point: Point, turn: int) -> End:
        disk = run.disk(run.account.state)
        server = run.serve(point.server[turn % point.turns], disk=disk)
        bridge = opened(run)
        buy(bridge, point)
        told = _told_or_dead(bridge, server)
        server.died()
        seed = _SEED + turn if some else None
        cut_power(disk.history, run.account.state, but=_LEDGER, seed=seed)
        return _again(run, told, run.serve())

    return play


# --- the connector ----------------------------------------------------------------------------


def client_journal_fails(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    strategy = run.trade(point.client[turn % point.turns])
    told = strategy.expect(SUBJECT)
    strategy.kill()
    if told["by"] == "connector":  # nothing has left, and nothing will
        assert run.raw().status(client_order_id=SUBJECT).code == "NOT_SEEN"
        if connector_row(run.client_journal()) is None:
            return End(told["status"], told["code"], "", 0)
    end = judge_run(run, server)
    assert told["by"] == "connector" or (told["status"], told["code"]) == end[:2]
    return end


def _strategy_loses_power(*, some: bool) -> Scenario:
    def play(run: Run, point: Point, turn: int) -> End:
        state = run.client_journal().parent
        disk = run.disk(state)
        server = run.serve()
        strategy = run.trade(point.client[turn % point.turns], disk=disk)
        while not strategy.gone(0.05) and SUBJECT not in strategy.said:
            pass
        strategy.kill()  # it has lived through all of its calls, if it is not dead
        cut_power(disk.history, state, seed=_SEED + turn if some else None)
        return judge_run(run, server)

    return play


def strategy_loses_power_after_it_sent(run: Run, point: Point, turn: int) -> End:
    state = run.client_journal().parent
    disk = run.disk(state)
    server = run.serve()
    run.trade(point.client[0], disk=disk).died()
    cut_power(disk.history, state)
    assert connector_row(run.client_journal()) is not None
    return judge_run(run, server)


FAILING: Final[dict[str, Scenario]] = {
    "eio": server_journal_fails,
    "fills": server_disk_fills,
    "broker-eio": broker_file_fails,
    "power": _server_loses_power(some=False),
    "power-some": _server_loses_power(some=True),
    "client-eio": client_journal_fails,
    "client-power": _strategy_loses_power(some=False),
    "client-power-some": _strategy_loses_power(some=True),
    "client-power-sent": strategy_loses_power_after_it_sent,
}
