"""A paper broker that is killed goes on from what it had made durable, never from before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.paper import paper_world

ROOT = Path(__file__).resolve().parents[2]

_RUNNER = """
import sys
from pathlib import Path
from tests.support.paper import open_order, paper_world

world = paper_world(Path(sys.argv[1]), pace_ms=0)
while True:
    world.next_prices()
    world.do(open_order("BUY", "0.01", sl="1.00000"))
    snapshot = world.backend.snapshot()
    print(snapshot.market_ms, len(snapshot.positions), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="platform has no SIGKILL")
def test_a_kill_at_any_moment_never_sets_market_time_or_the_books_back(tmp_path: Path) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", _RUNNER, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    try:
        seen = [victim.stdout.readline() for _ in range(20)]
    finally:
        victim.kill()
        rest = victim.stdout.read()
        victim.stdout.close()
        victim.wait(30)
    last = [line for line in [*seen, *rest.splitlines(keepends=True)] if line.endswith("\n")][-1]
    market_ms, positions = (int(each) for each in last.split())
    world = paper_world(tmp_path)
    snapshot = world.backend.snapshot()
    assert snapshot.market_ms >= market_ms
    assert len(snapshot.positions) >= positions
    assert snapshot.account.balance == Decimal(10_000)
    assert len(world.backend.scan(0).deals) == len(snapshot.positions)
    world.backend.close()
