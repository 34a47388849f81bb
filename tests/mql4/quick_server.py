"""`ztb-server` whose conditions clear at once: `python -m tests.mql4.quick_server run --config F`.

A lost EA or broker link keeps an account REDUCE_ONLY for 30 s after it is back. A test that kills
a hundred times would spend its hours in that state; everything else is the server as it is.
"""

from __future__ import annotations

import sys
from typing import Final

from bridge_server.cli import main
from bridge_server.core.trading_state import CAUSES, Cause

__all__: list[str] = []

_LINGER_MS: Final = 50

if __name__ == "__main__":
    for cause in (Cause.EA_STALE, Cause.BROKER_LINK):
        CAUSES[cause] = CAUSES[cause]._replace(linger_ms=_LINGER_MS)
    sys.exit(main())
