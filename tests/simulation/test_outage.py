"""What a connector does while nothing can leave it: it signs nothing, and asks once it can."""

from __future__ import annotations

from pathlib import Path

from tests.simulation.schedule import Schedule

_OUTAGE_MS = 60_000


def test_no_question_is_signed_while_the_connection_is_down(tmp_path: Path) -> None:
    schedule = Schedule(21, tmp_path)
    client = schedule.clients[0]
    schedule.ground.fault = "lost after"
    client.want(*schedule.strategy.wish(client.name, schedule.world.stream("wish"), 0))
    schedule.world.run(20)
    assert len(client.orders) == 1  # its bytes have left, and nobody knows what became of them
    client.cable.cut = True
    client.cable.changed()
    before = client.link._draws.getstate()
    schedule.world.run(_OUTAGE_MS)
    assert client.orders
    untouched = client.link._draws.getstate() == before
    assert untouched  # each signature takes a rid of its own
    client.cable.cut = False
    client.cable.changed()
    schedule.world.run(1_000)
    assert not client.orders
    schedule.close()
