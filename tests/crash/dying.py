"""Rows of the matrix where somebody dies or a disk fails: who is started, what befalls them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from bridge_client import Connector, OrderResult
from bridge_core.protocol.codes import Status
from tests.crash.stage import FIRST, Plan, Run, freeze
from tests.crash.table import End, Point
from tests.crash.verdict import connector_row, judge_run
from tests.support.doom import SUBJECT
from tests.support.raw_client import RawClient
from tests.support.running import wait_until
from tests.support.zygote import Child

__all__ = [
    "DYING", "PATIENCE_S", "Scenario", "buy", "concluded", "opened", "restarted", "settled",
    "split_hold",
]  # fmt: skip

Scenario = Callable[[Run, Point, int], End]
PATIENCE_S: Final = 20.0
_NO_PICTURE: Final = ("NO_CONNECTION", "NO_ACCOUNT", "NO_QUOTE", "STALE_QUOTE")


def split_hold(point: Point, until: str = "accepted") -> dict[str, str]:
    """Return what holds the broker: in the split form the first order, until `until`."""
    return {FIRST: until} if point.form == "split" else {}


def opened(run: Run) -> Connector:
    """Return a connected connector that knows its positions."""
    bridge = run.connector()
    bridge.connect(PATIENCE_S)
    bridge.get_positions()
    return bridge


def buy(bridge: Connector, point: Point, wait: float = 0.0) -> OrderResult:
    """Buy the subject; in the split form behind an order that holds the broker."""
    if point.form == "split":
        _sent(bridge, FIRST, 0.0)
    return _sent(bridge, SUBJECT, wait)


def _sent(bridge: Connector, name: str, wait: float) -> OrderResult:
    # Who does not wait gives the picture a second; a crowded machine may need a little more. What
    # is refused for want of one was not signed, and its id is free.
    for _ in range(5):
        told = bridge.buy("EURUSD", "0.01", client_order_id=name, comment=name, wait=wait)
        if told.by != "connector" or told.code not in _NO_PICTURE:
            break
    return told


def settled(bridge: Connector) -> OrderResult:
    """Wait for the outcome in the process that sent the order, and end it."""
    told = bridge.wait(SUBJECT, PATIENCE_S)
    assert told.final, told
    wait_until(lambda: bridge.unfinished() == [], PATIENCE_S)
    bridge.close()
    return told


def concluded(run: Run, server: Child, told: OrderResult, *, forked: bool = False) -> End:
    """Judge the run; what was told before the restart of C is what is told after it."""
    end = judge_run(run, server, forked=forked)
    assert (told.status, told.code, told.evidence) == end[:3], told
    return end


def restarted(run: Run, server: Child) -> Child:
    """Wait until the server has died as planned, and start it again."""
    server.died()
    return run.serve()


def server_dies(run: Run, point: Point, turn: int) -> End:
    plan = point.server[turn % len(point.server)]
    server = run.serve(plan, hold=split_hold(point))
    bridge = opened(run)
    told = buy(bridge, point)
    # Its reply may have left before it died.
    assert not told.final or told.status is Status.FILLED, told
    server = restarted(run, server)
    return concluded(run, server, settled(bridge))


def client_dies(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    run.trade(point.client[turn % len(point.client)]).died()
    return judge_run(run, server)


def client_dies_before_it_all(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    run.trade(point.client[0]).died()
    assert connector_row(run.client_journal()) is None
    return judge_run(run, server)


def both_die(run: Run, point: Point, turn: int) -> End:
    place = turn % point.turns
    server = run.serve(point.server[place])
    run.trade(point.client[place]).died()
    if point.server[place]:
        server.died()
    else:
        server.kill()
    return judge_run(run, run.serve())


def server_stalls(run: Run, point: Point, turn: int) -> End:
    server = run.serve(point.server[0], hold=split_hold(point, "expired"))
    bridge = opened(run)
    buy(bridge, point)
    return concluded(run, server, settled(bridge))


def dies_with_the_message_unread(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    bridge = opened(run)
    bridge.check_order("EURUSD", "BUY", 0.01)  # the picture is new: the next message is the order
    freeze(server)
    told = buy(bridge, point)
    assert not told.final, told
    time.sleep(0.02)  # it is in S's inbound queue by now
    server.kill()
    return concluded(run, run.serve(), settled(bridge))


# --- disks ------------------------------------------------------------------------------------


def fsync_fails(run: Run, point: Point, turn: int) -> End:
    return _fsync(run, point, point.server[0])


def _fsync(run: Run, point: Point, plan: Plan) -> End:
    server = run.serve(plan, hold=split_hold(point))
    bridge = opened(run)
    told = buy(bridge, point)
    assert not told.final, told
    assert server.ended() == 1
    server = run.serve()
    client = run.raw()
    assert "JOURNAL_FATAL" in [one.cause for one in client.hello().causes]
    return concluded(run, server, settled(bridge))


def disk_is_full(run: Run, point: Point, turn: int) -> End:
    disk = run.disk(run.account.state)
    server = run.serve(point.server[0], hold=split_hold(point), disk=disk)
    bridge = opened(run)
    buy(bridge, point)
    told = bridge.wait(SUBJECT, PATIENCE_S)
    client = run.raw()
    assert client.ping().status == "OK"
    assert client.status(client_order_id=SUBJECT).subject().status == "DENIED"
    assert "JOURNAL_FULL" in [one.cause for one in client.hello().causes]
    disk.heal()
    wait_until(lambda: not _full(client), PATIENCE_S)
    assert settled(bridge) == told
    server.kill()
    return concluded(run, run.serve(), told)


def _full(client: RawClient) -> bool:
    return "JOURNAL_FULL" in [one.cause for one in client.hello().causes]


DYING: Final[dict[str, Scenario]] = {
    "dies": server_dies,
    "client": client_dies,
    "client-free": client_dies_before_it_all,
    "pair": both_die,
    "stalls": server_stalls,
    "inbound": dies_with_the_message_unread,
    "fsync": fsync_fails,
    "full": disk_is_full,
}
