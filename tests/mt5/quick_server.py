"""`ztb-server` on the stand-in terminal: `python -m tests.mt5.quick_server run --config F`.

The package is the stand-in's module, and what a user waits a minute for takes a moment here:
`settle`, the read-back of a fill, the reconnect's pauses, and how long a lost link lowers the
state. `ZTB_TEST_TRADE_MS`, `_READ_MS` and `_CONNECT_MS` are how long a call of that kind may take,
`ZTB_TEST_SETTLE_MS` the settle time, `ZTB_TEST_RETRY_MS` the pause before each reconnect,
`ZTB_TEST_BEAT_MS` the time between two looks at the account, `ZTB_TEST_STABLE_MS` how long a clock
that was set must stand still; `ZTB_TEST_CLOCK` is a PC's clock that a test sets (shifted_clock).
With `ZTB_TEST_WARM=1` workers are forked, not spawned (warm_worker).
Everything else is the server as it is.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from msgspec import structs

from bridge_core.host import clock
from bridge_core.host.clock import Clock
from bridge_core.protocol import limits
from bridge_server import wiring
from bridge_server.backends.mt5 import Mt5Backend, Patience
from bridge_server.backends.mt5_link import LinkSpec, Mt5Link, Pace
from bridge_server.backends.mt5_settings import Mt5Served
from bridge_server.cli import main
from bridge_server.core.trading_state import CAUSES, Cause
from tests.mt5.shifted_clock import load, shift
from tests.mt5.warm_worker import keep_workers_warm

__all__ = ["be_quick"]

_LINGER_MS: Final = 50
_RETRY_MS: Final = 100


def _number(name: str, default: int) -> int:
    return int(os.environ.get(f"ZTB_TEST_{name}", default))


def be_quick() -> None:
    """Put the stand-in's module and short waits in the place of the real ones."""
    for cause in (Cause.BROKER_LINK, Cause.EA_STALE):
        CAUSES[cause] = CAUSES[cause]._replace(linger_ms=_LINGER_MS)
    vars(clock).update(CLOCK_STABLE_MS=_number("STABLE_MS", limits.CLOCK_STABLE_MS))
    usual = Pace()
    pace = Pace(
        trade_ms=_number("TRADE_MS", usual.trade_ms),
        read_ms=_number("READ_MS", usual.read_ms),
        connect_ms=_number("CONNECT_MS", usual.connect_ms),
        beat_ms=_number("BEAT_MS", usual.beat_ms),
        retry_ms_min=_number("RETRY_MS", _RETRY_MS),
        retry_ms_max=_number("RETRY_MS", 4 * _RETRY_MS),
        refused_ms=_number("RETRY_MS", usual.refused_ms),
    )
    spec_of = wiring.link_spec

    def link_spec(*args: Any, **given: Any) -> LinkSpec:
        return structs.replace(spec_of(*args, **{**given, "load": load}), pace=pace)

    def backend(link: Mt5Link, served: Mt5Served, on: Clock) -> Mt5Backend:
        settle_ms = _number("SETTLE_MS", 300)
        patience = Patience(settle_ms=settle_ms, confirm_ms=500, sync_ms=100)
        return Mt5Backend(link, served, on, patience)

    vars(wiring).update(link_spec=link_spec, Mt5Backend=backend)


if __name__ == "__main__":
    shift()
    be_quick()
    if _number("WARM", 0):
        keep_workers_warm(lambda: None)
    sys.exit(main())
