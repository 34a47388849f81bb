"""A server that lies: real sockets and true keys, but it says whatever a scenario has it say.

What it really does it writes into a ledger of the paper broker's form, so the same oracles judge
what its connector believed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge_core.host.ledger import LedgerLine, SignedOrder
from bridge_core.protocol.messages import Open, Request
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import RequestToken
from tests.acceptance.broker import FIELDS
from tests.acceptance.connectors import journal_of
from tests.acceptance.house import take_journal
from tests.support.fake_kit import ACCT, Kit, make_kit
from tests.support.fake_server import FakeServer
from tests.support.oracles import Evidence, Told

__all__ = ["Liar"]

_TRUTH_LATE_S = 0.08


class Liar(FakeServer):
    """Executes what it is sent, truthfully written down; its replies are the scenario's."""

    def __init__(self, folder: Path, *, more: str = "") -> None:
        kit: Kit = make_kit(folder / "connector", more=more)
        super().__init__(kit)
        self.lines: list[LedgerLine] = [
            LedgerLine(phase="start", n=0, wall_ms=self.now_ms(), result={"comment_chars": 0})
        ]

    def _handle(self, frames: Frames) -> list[tuple[Frames, float]]:
        # The truth comes a little after the lies, or it would hide that a lie was believed.
        made = super()._handle(frames)
        if len(made) < 2:
            return made
        return [*made[:-1], (made[-1][0], _TRUTH_LATE_S)]

    def _execute(self, token: RequestToken, body: Request) -> OrderView:
        begin = self._begin(token, body)
        self.lines.append(begin)
        view = super()._execute(token, body)
        result: dict[str, Any] = {"outcome": "EXECUTED", "ticket": view.ticket}
        if view.status == "FILLED":
            price = view.close_price if token.op == "CLOSE" else view.price
            result |= {"volume": view.volume, "price": price}
        if view.status == "DENIED":
            result = {"outcome": "REJECTED"}
        self.lines.append(LedgerLine(phase="end", n=begin.n, wall_ms=self.now_ms(), result=result))
        return view

    def _begin(self, token: RequestToken, body: Request) -> LedgerLine:
        tag = make_tag(ACCT, token.rid)
        comment = body.comment if isinstance(body, Open) else ""
        strategy = body.strategy if isinstance(body, Open) else 0
        return LedgerLine(
            phase="begin", n=len(self.lines), wall_ms=self.now_ms(), op=token.op,
            magic=tag.mt5_magic(strategy), comment=tag.broker_comment(comment, 200),
            fields={name: getattr(body, name) for name in FIELDS[token.op]},
        )  # fmt: skip

    def evidence(self) -> Evidence:
        """Return what the oracles need: the connector's journal against the ledger."""
        signed: dict[str, SignedOrder] = {}
        told: list[Told] = []
        take_journal(journal_of(self.kit.folder), signed, told)
        return Evidence(
            acct=ACCT, signed=signed, lines=self.lines, told=told, rows=dict(self.orders),
            alarms=frozenset({"LIAR"}),
        )  # fmt: skip
