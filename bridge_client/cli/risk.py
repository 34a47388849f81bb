"""`ztb risk`: every limit of connector, server and EA side by side, with use and headroom."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from bridge_client.cli.arguments import nearest
from bridge_client.cli.exits import DEGRADED, DOWN, Exit, UsageError
from bridge_client.cli.journals import risk_latches
from bridge_client.cli.output import Answer
from bridge_client.cli.places import place_of, querying
from bridge_core.protocol.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge_client.cli.main import Context
    from bridge_client.cli.places import Place
    from bridge_client.risk_keeper import LocalLatch
    from bridge_client.views import LimitRow

__all__ = ["run", "side_by_side", "tightest"]

SIDES: Final = ("connector", "server", "ea")
# What the EA tells of itself that is a limit of the bridge under another name.
_EA_NAMES: Final = {
    "max_lots": "max_volume", "max_positions": "max_positions", "symbols": "allowed_symbols",
}  # fmt: skip
_OFF: Final = "off"
Side = str
Line = dict[Side, "LimitRow"]


def run(ctx: Context) -> Answer:
    """Show them."""
    place = place_of(ctx.args)
    symbol = _checked(ctx.args.symbol, place)
    with querying(ctx, place) as bridge:
        try:
            rows, why = bridge.get_limits(symbol), ""
        except TransportError as error:
            rows, why = bridge.own_limits(symbol), str(error)
    lines = side_by_side(rows)
    ctx.out.table(
        ("LIMIT", "SYMBOL", *(side.upper() for side in SIDES)),
        [
            (name, of, *(_cell(line, side, tightest(name, line)) for side in SIDES))
            for (name, of), line in lines.items()
        ],
    )
    ctx.out.say("* the tightest; `off`: this side does not judge by it; docs/risk.md")
    latches = risk_latches(place.state) if place.state.is_dir() else {}
    _tell_latches(ctx, latches)
    if why:
        ctx.out.warn(f"the server did not answer, these are the connector's own: {why}")
    return Answer(_exit(why, latches), {"limits": _rows(lines), "latches": latches, "why": why})


def _checked(symbol: str | None, place: Place) -> str | None:
    known = place.settings.allowed_symbols
    if symbol is not None and symbol not in known:
        raise UsageError(
            f"{symbol} is not in allowed_symbols of {place.path}{nearest(symbol, known)}"
        )
    return symbol


def _exit(why: str, latches: Mapping[str, object]) -> int:
    if why:
        return DOWN
    return DEGRADED if latches else Exit.OK


def side_by_side(rows: Iterable[LimitRow]) -> dict[tuple[str, str], Line]:
    """Return the rows by limit and symbol, each with the sides that know it."""
    lines: dict[tuple[str, str], Line] = {}
    held = list(rows)
    for row in held:
        if row.by != "ea":
            lines.setdefault((row.name, row.symbol), {})[row.by] = row
    for row in held:
        name = _EA_NAMES.get(row.name.removeprefix("ea_"), "")
        if row.by != "ea" or not name:
            continue
        # One cap of the EA is of each symbol.
        same = [key for key in lines if key[0] == name and key[1]] or [(name, row.symbol)]
        for key in same if name == "max_volume" else [(name, row.symbol)]:
            lines.setdefault(key, {})["ea"] = row
    return lines


def tightest(name: str, line: Line) -> Side:
    """Return the side that refuses first, "" if that cannot be said."""
    told = [(side, _least(name, line[side])) for side in SIDES if side in line]
    known = [(side, value) for side, value in told if value is not None]
    return min(known, key=lambda pair: pair[1])[0] if known else ""


def _least(name: str, row: LimitRow) -> Decimal | None:
    if row.off:
        return None
    if row.value in ("true", "false"):
        return Decimal(row.value == "false")
    try:
        found = Decimal((row.headroom or row.value).removesuffix("%"))
    except InvalidOperation:
        return None
    floor = name.startswith("min_") and not row.headroom
    return -found if floor else found


def _cell(line: Line, side: Side, first: Side) -> str:
    row = line.get(side)
    if row is None:
        return ""
    if row.off:
        return _OFF
    use = f" ({row.used} used, {row.headroom} left)" if row.used else ""
    return f"{row.value}{use}{' *' if side == first else ''}"


def _rows(lines: Mapping[tuple[str, str], Line]) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "symbol": symbol,
            "tightest": tightest(name, line),
            **{
                side: None
                if side not in line
                else {
                    "value": line[side].value, "used": line[side].used,
                    "headroom": line[side].headroom, "off": line[side].off,
                }
                for side in SIDES
            },
        }
        for (name, symbol), line in lines.items()
    ]  # fmt: skip


def _tell_latches(ctx: Context, latches: Mapping[str, Mapping[str, LocalLatch]]) -> None:
    for client, held in latches.items():
        for cause, latch in held.items():
            ctx.out.line(
                f"{cause} blocks the entries of client {client}: {latch.code} limit={latch.limit} "
                f"value={latch.value}; `ztb explain {latch.code}` says what ends it"
            )
