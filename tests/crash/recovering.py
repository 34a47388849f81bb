"""Rows of the matrix where S dies again while it recovers, and where a FLATTEN is cut in pieces."""

from __future__ import annotations

from typing import Final

from bridge_client import OrderResult
from bridge_client.evidence import begun_acts, signed_rows
from tests.crash.dying import PATIENCE_S, Scenario, buy, concluded, opened, settled, split_hold
from tests.crash.stage import Plan, Run
from tests.crash.table import End, Point
from tests.crash.verdict import file_verdict
from tests.support.running import wait_until
from tests.support.zygote import Child

__all__ = ["RECOVERING"]

_FLAT: Final = "flat"


def dies_again(run: Run, point: Point, turn: int) -> End:
    server = run.serve(point.server[0], hold=split_hold(point))
    bridge = opened(run)
    buy(bridge, point)
    server.died()
    run.serve(point.again[turn % len(point.again)], ready=False).died()
    return concluded(run, run.serve(), settled(bridge))


def dies_again_if_it_gets_there(run: Run, plan: Plan) -> Child:
    """Start a server with a place that the work left may not reach any more; then start it anew."""
    server = run.serve(plan, ready=False)
    while "ready" not in server.said and not server.gone(0.05):
        pass
    server.kill()
    return run.serve()


def flatten_in_pieces(run: Run, point: Point, turn: int) -> End:
    server = run.serve(point.server[turn % len(point.server)])
    bridge = opened(run)
    tickets = {bridge.buy("EURUSD", "0.01").ticket for _ in range(2)}
    before = begun_acts(run.ledger)
    flat = bridge.flatten("enough", client_order_id=_FLAT, wait=0.0)
    server.died()
    server = dies_again_if_it_gets_there(run, point.again[turn % len(point.again)])
    flat = bridge.wait(_FLAT, PATIENCE_S)
    assert flat.final, flat
    wait_until(lambda: bridge.unfinished() == [], PATIENCE_S)
    bridge.close()
    begun = begun_acts(run.ledger) - before
    _left(run, flat, tickets)
    server.kill()
    file_verdict(run, signed_rows(run.client_journal()), run.client_journal(), forked=False)
    return End(flat.status, flat.code, flat.evidence, begun)


def _left(run: Run, flat: OrderResult, tickets: set[int]) -> None:
    # A new start is told the same; what is still open is closed by hand.
    with run.connector() as bridge:
        bridge.connect(PATIENCE_S)
        again = bridge.flatten("enough", client_order_id=_FLAT)
        assert (again.status, again.code) == (flat.status, flat.code)
        open_now = bridge.get_positions()
        done = flat.status == "DONE"
        assert {one.ticket for one in open_now} == (set() if done else tickets)
        if done:
            assert {child.ticket for child in flat.children} == tickets
            assert {str(child.status) for child in flat.children} == {"FILLED"}
        for position in open_now:
            assert bridge.close_position(position).status == "FILLED"


RECOVERING: Final[dict[str, Scenario]] = {
    "recovery": dies_again,
    "flatten": flatten_in_pieces,
}
