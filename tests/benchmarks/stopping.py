"""The kill switch: HALT in the midst of 100 orders a second, and ten accounts stopped at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final

from bridge_client import Accounts
from bridge_client.emergency import Stopped
from bridge_core.host.ledger import read_ledger
from bridge_core.protocol.messages import Resume
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import StateReply
from tests.benchmarks.place import account
from tests.benchmarks.table import row
from tests.support.fleet import Fleet
from tests.support.raw_client import RawClient, decode, now_ms, open_body
from tests.support.running import free_port, wait_until

__all__ = ["measure"]

ROUNDS: Final = 20
ACCOUNTS: Final = 10
_PERIOD_S: Final = 0.01
_BEFORE_S: Final = 0.3


def measure(folder: Path, base: float) -> None:
    """Measure and print.

    Args:
        folder: where the accounts are made.
        base: the median of the raw floor, us.
    """
    print("\nthe kill switch, paper broker at 0 ms")
    folder.mkdir(parents=True)
    port = free_port()
    (folder / "switch").mkdir()
    with account(folder / "switch", port) as connector:
        answered, last, after = [], [], 0
        for _ in range(ROUNDS):
            took, dispatched, more = _one(connector.parent, port)
            answered.append(took)
            last.append(dispatched)
            after += more
    row("HALT in 100 orders/s, to its answer", answered, base, "aim: 100000")
    row("  to the last order dispatched", last, base, "0: none after HALT was sent")
    print(f"orders dispatched after the answer: {after} in {ROUNDS} halts; aim: 1 each at most")
    _ten(folder / "ten", base)


def _one(home: Path, port: int) -> tuple[float, float, int]:
    """Return us to the answer, us to the last dispatch, and how many came after the answer."""
    over = threading.Event()
    with (
        RawClient.of(home / "connector", port) as strategy,
        RawClient.of(home / "connector", port) as presser,
        RawClient.of(home / "operator", port) as operator,
    ):
        wait_until(lambda: presser.hello().state == "ACTIVE")
        thread = threading.Thread(target=_stream, args=(strategy, over))
        thread.start()
        time.sleep(_BEFORE_S)
        sent_ms, begun = now_ms(), time.perf_counter()
        answer = presser.stop(Op.HALT)
        took = 1e6 * (time.perf_counter() - begun)
        time.sleep(_BEFORE_S)
        over.set()
        thread.join()
        presser.flatten()
        operator.do(Op.RESUME, Resume(cause="OPERATOR", reason="bench"))
    lines = read_ledger(home / "server" / "state" / "ledger.jsonl")
    opens = [line.wall_ms for line in lines if line.phase == "begin" and line.op == "OPEN"]
    at = decode(StateReply, answer).time
    return took, 1e3 * max(0, max(opens) - sent_ms), sum(when > at for when in opens)


def _stream(client: RawClient, over: threading.Event) -> None:
    due = time.monotonic()
    while not over.is_set():
        client.send(client.sign(Op.OPEN, open_body()))
        while client.receive(0) is not None:
            continue
        due += _PERIOD_S
        time.sleep(max(0.0, due - time.monotonic()))


def _ten(folder: Path, base: float) -> None:
    names = [f"a{number}" for number in range(ACCOUNTS)]
    with Fleet(folder, names) as fleet:
        fleet.fill()
        with Accounts.from_config(fleet.file, client="bench") as accounts:
            for one in accounts.values():
                one.connect(15)
            begun = time.perf_counter()
            found = accounts.halt("bench", flatten=True)
            whole = time.perf_counter() - begun
    ended = [one for one in found.values() if isinstance(one, Stopped) and one.done]
    row("ten paper accounts: halted", [1e6 * one.halted_s for one in ended], base, "each")
    row(
        "ten paper accounts: and flattened", [1e6 * one.seconds for one in ended], base, "3 tickets"
    )
    print(
        f"{len(ended)} of {ACCOUNTS} accounts halted and flat, all within {whole:.2f} s", flush=True
    )
