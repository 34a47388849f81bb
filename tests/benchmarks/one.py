"""One of a crowd: PINGs from a process of its own; prints when it began, ended, and each time."""

from __future__ import annotations

import sys
import time

from bridge_client import Connector


def main(connector: str, rounds: int) -> int:
    """Ping so many times."""
    with Connector.from_config(connector) as bridge:
        bridge.connect(30)
        times = []
        began = time.monotonic()
        for _ in range(rounds):
            begun = time.perf_counter()
            bridge.ping()
            times.append((time.perf_counter() - begun) * 1e6)
        print(began, time.monotonic(), *(f"{one:.1f}" for one in times))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
