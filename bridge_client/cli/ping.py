"""`ztb ping`: each hop's time and the clock offset. Its exit codes are those of `pg_isready`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from bridge_client.cli.exits import NO_ANSWER, REFUSED, Exit
from bridge_client.cli.output import Answer
from bridge_client.cli.places import querying
from bridge_core.protocol.errors import BridgeError, ConfigError, TransportError

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.connector import Connector
    from bridge_client.views import Ping

__all__ = ["run", "spread"]


def spread(times: Sequence[float]) -> dict[str, float]:
    """Return min, median and p99 (nearest rank) of durations in ms; {} for none."""
    if not times:
        return {}
    ordered = sorted(times)
    rank = math.ceil(0.99 * len(ordered)) - 1
    return {
        "min_ms": round(ordered[0], 3),
        "median_ms": round(median(ordered), 3),
        "p99_ms": round(ordered[rank], 3),
    }


def run(ctx: Context) -> Answer:
    """Ping the server some times and sum up."""
    args = ctx.args
    with querying(ctx) as bridge:
        pings, errors = _collect(bridge, args.count, args.timeout)
        # The executor behind the server: an EA where one attests.
        behind = "server to EA" if bridge.attests else "server to terminal"
    hops = {
        "connector to server": spread([one.ms for one in pings]),
        behind: spread([o.terminal_ms for o in pings if o.terminal_ms is not None]),
    }
    rows = [
        (hop, *(f"{value:.3f} ms" for value in found.values()))
        for hop, found in hops.items()
        if found
    ]
    if rows:
        ctx.out.table(("HOP", "MIN", "MEDIAN", "P99"), rows)
    data: dict[str, object] = {"sent": args.count, "answered": len(pings), "hops": hops}
    if pings:
        best = min(pings, key=lambda one: one.uncertainty_ms)
        ctx.out.line(f"clock offset {best.offset_ms:+d} ms +/- {best.uncertainty_ms} ms "
                     "(positive: the server is ahead)")  # fmt: skip
        data |= {"offset_ms": best.offset_ms, "uncertainty_ms": best.uncertainty_ms}
    if errors:
        worst = errors[-1]
        data["error"] = {"code": worst.code, "detail": worst.detail}
        ctx.out.warn(f"{len(errors)} not answered: {worst.detail or worst.code}")
    return Answer(_exit(errors), data)


def _collect(bridge: Connector, count: int, timeout: float) -> tuple[list[Ping], list[BridgeError]]:
    pings: list[Ping] = []
    errors: list[BridgeError] = []
    for _ in range(count):
        try:
            pings.append(bridge.ping(timeout=timeout))
        except ConfigError:
            raise
        except BridgeError as error:
            errors.append(error)
            if not pings:
                break  # nobody is there; asking again would only keep the user waiting
    return pings, errors


def _exit(errors: Sequence[BridgeError]) -> int:
    if not errors:
        return Exit.OK
    last = errors[-1]
    # A refused CURVE key is an answer too: the transport says so in words.
    silent = isinstance(last, TransportError) and "refused our key" not in last.detail
    return NO_ANSWER if silent else REFUSED
