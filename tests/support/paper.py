"""Builders for the paper broker: submissions, price files, a backend over a temporary folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from bridge_core.host.ledger import SignedOrder
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Cancel, Close, Modify, Open, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from bridge_server.backends.paper import PaperBackend, PaperSettings
from bridge_server.core.ports import Backend, Submission
from tests.support.clock import FakeClock

__all__ = [
    "ACCT", "HEADER", "World", "bar", "cancel", "close", "modify", "open_order", "paper_world",
    "write_bars",
]  # fmt: skip

ACCT = "demo"
HEADER = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
_OPS: dict[type[Request], Op] = {
    Open: Op.OPEN, Close: Op.CLOSE, Modify: Op.MODIFY, Cancel: Op.CANCEL,
}  # fmt: skip
_ids = itertools.count(1)


def open_order(type_: str = "BUY", volume: str = "0.10", **over: Any) -> Open:
    fields: dict[str, Any] = {
        "client_order_id": f"o{next(_ids)}", "client": "atlas", "symbol": "EURUSD", "type": type_,
        "volume": volume, "price": "0", "sl": "0", "tp": "0", "deviation": 20, "expiration": 0,
        "stops_fail": "KEEP", "strategy": 1, "comment": "Strategy_v1",
    }  # fmt: skip
    return Open(**(fields | over))


def close(ticket: int, volume: str = "0", symbol: str = "EURUSD") -> Close:
    return Close(
        client_order_id=f"c{next(_ids)}", client="atlas", ticket=ticket, symbol=symbol,
        volume=volume, deviation=20,
    )  # fmt: skip


def modify(ticket: int, **over: Any) -> Modify:
    fields: dict[str, Any] = {
        "client_order_id": f"m{next(_ids)}", "client": "atlas", "ticket": ticket, "price": "0",
        "sl": "0", "tp": "0", "old_sl": "0", "old_tp": "0", "expiration": 0,
    }  # fmt: skip
    return Modify(**(fields | over))


def cancel(ticket: int) -> Cancel:
    return Cancel(client_order_id=f"x{next(_ids)}", client="atlas", ticket=ticket)


class World:
    """A backend and what the contract needs around it; other backends override `submission`."""

    tags_closes = True

    def __init__(self, backend: Backend, clock: FakeClock, symbol: str = "EURUSD"):
        self.backend = backend
        self.clock = clock
        self.symbol = symbol
        self.signed: dict[str, SignedOrder] = {}
        self._rids = itertools.count(1)

    def submission(self, body: Request, *, ttl_ms: int = 5000, rid: str = "") -> Submission:
        """Return the body as the server would hand it over; remembers it as signed."""
        rid = rid or f"{next(self._rids):032x}"
        tag = make_tag(ACCT, rid)
        op, wall = _OPS[type(body)], self.clock.wall_ms()
        self.signed.setdefault(rid, SignedOrder(op, wall, ttl_ms, body))
        comment = body.comment if isinstance(body, Open) else ""
        return Submission(
            rid=rid, op=op, body=body, frames=Frames(b"", b""), tag=tag,
            magic=tag.mt5_magic(body.strategy if isinstance(body, Open) else 0),
            comment=tag.broker_comment(comment, self.backend.comment_chars),
            deadline=Deadline.at(wall + ttl_ms, wall, self.clock.mono_ms()),
        )  # fmt: skip

    def do(self, body: Request) -> Any:
        """Execute a body and return whatever outcome it has."""
        return self.backend.execute(self.submission(body))

    def advance(self, ms: int, *, wall: int | None = None) -> None:
        """Let time pass: so many ms on the monotonic clock, and on the wall clock (default: so)."""
        self.clock.advance(ms)
        if wall is not None:
            self.clock.step_wall(wall - ms)

    def next_prices(self, times: int = 1) -> list[Any]:
        """Let the market move on and return the events."""
        events: list[Any] = []
        for _ in range(times):
            self.clock.advance(1000)
            events += self.backend.pump()
        return events


def bar(minute: int, *prices: str, spread: int = 0) -> str:
    """Return one line: open, high, low, close at a minute of 2024-01-02 (UTC)."""
    hour, minute = divmod(minute, 60)
    cells = ["2024.01.02", f"{hour:02}:{minute:02}:00", *prices, "10", "0", str(spread)]
    return "\t".join(cells) + "\n"


def write_bars(path: Path, lines: Iterable[str]) -> Path:
    path.write_text(HEADER + "".join(lines), encoding="utf-8")
    return path


def paper_world(folder: Path, clock: FakeClock | None = None, **settings: Any) -> World:
    """Return a started paper backend whose state and files are in the folder."""
    clock = clock or FakeClock()
    symbols = settings.pop("symbols_allowed", ("EURUSD",))
    settings.setdefault("balance", Decimal(10_000))
    backend = PaperBackend(
        PaperSettings(**settings), symbols=symbols, folder=folder, base=folder, clock=clock
    )
    backend.start()
    return World(backend, clock, symbols[0])
