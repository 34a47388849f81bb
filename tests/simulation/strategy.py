"""What the strategies want: orders of every kind, on what they know; and again after a crash."""

from __future__ import annotations

import random
from typing import Any, Final

from msgspec.structs import replace

from bridge_client.drafts import Draft
from bridge_core.protocol.messages import Cancel, Close, Flatten, Modify, Open, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from tests.simulation.connector import SimConnector
from tests.simulation.house import SYMBOLS
from tests.simulation.world import World

__all__ = ["A_MODIFY", "Strategy"]

A_MODIFY: Final = 17


class Strategy:
    """Draws wishes; keeps every one, for a restarted client asks again under the same id."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._count = 0
        self.wishes: dict[str, dict[str, Draft]] = {}
        self.positions: list[tuple[int, str]] = []
        self.pendings: list[tuple[int, str]] = []

    def learn(self, view: OrderView) -> None:
        """Take a ticket from what was told."""
        if view.op == Op.OPEN and view.ticket:
            known = self.pendings if view.status == "WORKING" else self.positions
            if view.status in ("FILLED", "PARTIAL", "WORKING"):
                known.append((view.ticket, view.symbol))

    def ask_again(self, client: SimConnector) -> None:
        """Ask for everything once more: the same id means the same order."""
        for name, draft in self.wishes.get(client.name, {}).items():
            client.want(name, draft)

    def wish(self, client: str, draws: random.Random, kind: int | None = None) -> tuple[str, Draft]:
        """Return a new id and what is wanted under it; `kind` 0 to 19 instead of a drawn one."""
        self._count += 1
        name = f"{client}-{self._count}"
        draft = replace(self._draw(client, draws, kind), client_order_id=name)
        self.wishes.setdefault(client, {})[name] = draft
        return name, draft

    def _draw(self, client: str, draws: random.Random, kind: int | None) -> Draft:
        kind = draws.randrange(20) if kind is None else kind
        if kind < 9 or not self.positions:
            return self._open(client, draws, market=True)
        if kind < 11:
            return self._open(client, draws, market=False)
        if kind < 13 and self.pendings:
            ticket, _ = draws.choice(self.pendings)
            return _draft(Op.CANCEL, Cancel, client, ticket=ticket)
        ticket, symbol = draws.choice(self.positions[-8:])
        if kind < 16:
            volume = draws.choice(("0", "0", "0.01"))
            return _draft(
                Op.CLOSE, Close, client, symbol, ticket=ticket, symbol=symbol, volume=volume,
                deviation=0,
            )  # fmt: skip
        if kind < 19:
            stop, old = draws.choice(("0.50000", "0.60000", "0")), draws.choice(("0", "0.50000"))
            return _draft(
                Op.MODIFY, Modify, client, ticket=ticket, price="0", sl=stop, tp="0", old_sl=old,
                old_tp="0", expiration=0,
            )  # fmt: skip
        scope = draws.choice(("ALL", "POSITIONS", "PENDINGS"))
        return _draft(Op.FLATTEN, Flatten, client, scope=scope, symbol="", reason="simulated")

    def _open(self, client: str, draws: random.Random, *, market: bool) -> Draft:
        symbol = draws.choice(SYMBOLS)
        fields: dict[str, Any] = {
            "symbol": symbol, "type": draws.choice(("BUY", "SELL")),
            "volume": draws.choice(("0.01", "0.02", "0.10")), "price": "0", "sl": "0", "tp": "0",
            "deviation": 0, "expiration": 0, "stops_fail": "KEEP", "strategy": draws.randrange(4),
            "comment": draws.choice(("", "Strategy_v1")),
        }  # fmt: skip
        if not market:
            fields |= {"type": "BUY_LIMIT", "price": "0.90000"}
        return _draft(Op.OPEN, Open, client, symbol, **fields)


def _draft(op: Op, kind: type[Request], client: str, view_symbol: str = "", **fields: Any) -> Draft:
    text = " ".join(f"{name}={value}" for name, value in fields.items())

    def body(client_order_id: str) -> Request:
        return kind(client_order_id=client_order_id, client=client, **fields)

    view = OrderView(
        rid="", op=op, symbol=view_symbol, type=str(fields.get("type", "")),
        ticket=int(fields.get("ticket", 0)), requested_volume=str(fields.get("volume", "0")),
    )  # fmt: skip
    entry = op is Op.OPEN
    return Draft(
        op=op, body=body, fields=text, view=view, ticket=int(fields.get("ticket", 0)), entry=entry
    )
