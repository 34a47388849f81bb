"""Seeded legal and illegal messages for the comparison of Python and MQL4 (protocol.md 3 to 5)."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from typing import Final

from bridge_core.protocol import limits
from bridge_core.protocol import messages as m
from bridge_core.protocol.operations import EA_OPS, OPERATIONS, Op

__all__ = ["Maker", "mutations"]

_SAFE: Final = string.ascii_letters + string.digits + "._-"
_FREE: Final = "".join(chr(c) for c in range(0x20, 0x7F) if chr(c) not in '"\\')
_SYMBOL: Final = _FREE.replace(":", "")
_EDGE_NUMBERS: Final = (0, 1, 9, 10, 499, 4095, 1_000_000, 9_999_999_999_999, 2**63 - 1)


class Maker:
    """Draws messages from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self, alphabet: str, least: int, most: int) -> str:
        """Return a text; the bounds themselves come often."""
        length = self.random.choice((least, most, self.random.randint(least, most)))
        return "".join(self.random.choice(alphabet) for _ in range(length))

    def hex(self, digits: int) -> str:
        """Return lower-case hex digits."""
        return self.text("0123456789abcdef", digits, digits)

    def number(self, most: int, least: int = 0) -> int:
        """Return an integer up to `most`; edges come often."""
        edges = [n for n in (*_EDGE_NUMBERS, most) if least <= n <= most]
        return self.random.choice((*edges, self.random.randint(least, most)))

    def decimal(self) -> str:
        """Return a decimal as a request may have it."""
        whole = str(self.number(999_999_999))
        places = self.random.choice((0, 0, 1, 2, 5, 8))
        part = "".join(self.random.choice("0123456789") for _ in range(places))
        return f"{whole}.{part}" if part else whole

    def symbol(self, least: int = 1) -> str:
        """Return a symbol's name; inner spaces are legal."""
        name = self.text(_SYMBOL, least, limits.SYMBOL_CHARS_MAX)
        return name.strip() or ("EURUSD" if least else "")

    def body(self, op: Op) -> m.Request:
        """Return a legal body of an operation that an Advisor is handed."""
        draw = self.random.choice
        ids = {
            "client_order_id": self.text(_SAFE, 1, limits.CLIENT_ORDER_ID_CHARS_MAX),
            "client": self.text(_SAFE, 1, 36),
        }
        reason = self.text(_FREE, 0, limits.REASON_CHARS_MAX)
        time = self.number(9_999_999_999_999)
        if op is Op.OPEN:
            return m.Open(
                **ids, symbol=self.symbol(),
                type=draw(("BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP")),
                volume=self.decimal(), price=self.decimal(), sl=self.decimal(), tp=self.decimal(),
                deviation=self.number(limits.DEVIATION_POINTS_MAX), expiration=time,
                stops_fail=draw(("KEEP", "CLOSE")), strategy=self.number(limits.STRATEGY_MAX),
                comment=self.text(_FREE, 0, limits.COMMENT_CHARS_MAX),
            )  # fmt: skip
        if op is Op.CLOSE:
            return m.Close(
                **ids, ticket=self.number(limits.TICKET_MAX, 1), symbol=self.symbol(),
                volume=self.decimal(), deviation=self.number(limits.DEVIATION_POINTS_MAX),
            )  # fmt: skip
        if op is Op.MODIFY:
            return m.Modify(
                **ids, ticket=self.number(limits.TICKET_MAX, 1), price=self.decimal(),
                sl=self.decimal(), tp=self.decimal(), old_sl=self.decimal(), old_tp=self.decimal(),
                expiration=time,
            )  # fmt: skip
        if op is Op.CANCEL:
            return m.Cancel(**ids, ticket=self.number(limits.TICKET_MAX, 1))
        if op is Op.FLATTEN:
            scopes: tuple[m.Scope, ...] = ("PENDINGS", "POSITIONS", "ALL")
            return m.Flatten(**ids, scope=draw(scopes), symbol=self.symbol(0), reason=reason)
        if op is Op.FENCE:
            rid = self.hex(32)
            return m.Fence(rid=rid, inc=self.hex(16), iat=time, symbol=self.symbol(0))
        if op is Op.HEARTBEAT:
            return m.Heartbeat(sequence=self.number(limits.TICKET_MAX))
        if op is Op.RESUME:
            word = self.text(string.ascii_uppercase, 1, 1)
            word += self.text(string.ascii_uppercase + string.digits + "_", 0, 31)
            return m.Resume(cause=word, reason=reason)
        return m.Stop(reason=reason)

    def ops(self) -> list[Op]:
        """Return the operations that an Advisor is handed, in a fixed order."""
        return sorted(EA_OPS)

    def token(self) -> bytes:
        """Return a legal request token."""
        op = self.random.choice(self.ops())
        parts = (
            OPERATIONS[op].prefix, "5",
            self.text(string.ascii_lowercase + string.digits + "-", 2, 16),
            self.text(string.ascii_letters + string.digits + "_-", 1, 24), op.value, self.hex(32),
            str(self.random.randint(10**12, 10**13 - 1)), str(self.number(10_000, 200)),
            self.hex(16), self.random.choice(("-", self.hex(64))), self.hex(64),
        )  # fmt: skip
        return ":".join(parts).encode("ascii")


def mutations(maker: Maker, raw: bytes) -> Iterator[bytes]:
    """Yield changed copies: bytes moved, lost, doubled, replaced by neighbours of the grammar."""
    draw = maker.random
    at = draw.randrange(len(raw) + 1)
    yield raw[:at] + bytes([draw.randrange(256)]) + raw[at:]
    yield raw[:at] + raw[at + 1 :]
    yield raw[:at]
    yield raw[:at] + bytes([draw.choice(b'\x00\n\r\t "\\:,{}.+-0e\x7f\x80\xff')]) + raw[at + 1 :]
    old = draw.choice((b'"', b":", b",", b"0", b"1", b"{", b"}", b"."))
    new = draw.choice((b"", b'"', b"0", b"00", b" ", b"-0", b"1e1", b".", b"null", b"true", b"[]"))
    yield raw.replace(old, new, draw.randint(1, 3))
    begin = draw.randrange(len(raw))
    end = draw.randrange(begin, len(raw)) + 1
    yield raw[:end] + raw[begin:]
    fields = raw.split(b",")
    draw.shuffle(fields)
    yield b",".join(fields)
