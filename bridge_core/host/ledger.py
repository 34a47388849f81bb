"""The paper broker's ledger.jsonl, read and judged: what the broker was made to do (protocol.md).

One JSON object a line, in this order of keys:

    v                 1
    phase             start | begin | end
    n                 number of the act, from 1; begin and end of one act share it. A start line
                      carries the last number used
    wall_ms           wall time, UTC ms
    market_ms         market time, UTC ms (0 before the first price)
    op                OPEN CLOSE MODIFY CANCEL; "" in a start line
    magic, comment    what the broker shows of the submission
    deadline_wall_ms  the submission's deadline, UTC ms
    fields            begin: the values as the broker took them; decimals are text, ticket,
                      deviation and expiration are integers
    result            end: outcome (EXECUTED REJECTED LOST), status, code, retcode, ticket, deal,
                      order, volume, price, profit. start: comment_chars, source

A begin line is written before the act, its end line after the act is durable. A begin without an
end was in flight when the process died: the broker's store knows whether it happened. The file
knows no request id; a judge derives each tag from the rid. A last line cut off by a crash is no
line; a start line follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.messages import Cancel, Close, Flatten, Modify, Open, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import COMMENT_TAG_CHARS, Tag, child_rid, make_tag

__all__ = [
    "PROMISES", "Held", "LedgerLine", "SignedOrder", "Verdict", "encode_line", "judge",
    "read_ledger",
]  # fmt: skip

PROMISES: Final = ("S1", "S2", "S3", "S5")
_HASH_MASK: Final = 2**40 - 1
_HASH_BITS: Final = 40


class LedgerLine(Struct, frozen=True, kw_only=True):
    """One line; the module's docstring is its format."""

    v: int = 1
    phase: str
    n: int
    wall_ms: int
    market_ms: int = 0
    op: str = ""
    magic: int = 0
    comment: str = ""
    deadline_wall_ms: int = 0
    fields: dict[str, str | int] = {}
    result: dict[str, str | int] = {}


class SignedOrder(NamedTuple):
    """A request as its signer signed it: iat in UTC ms, ttl in ms."""

    op: Op
    iat: int
    ttl: int
    body: Request


class Held(NamedTuple):
    """How often a promise held, of how many times it was put to the test, and who broke it first.

    `offender` is a rid, or `n=NUMBER` of a submission that nobody signed; "" if none.
    """

    held: int
    total: int
    offender: str = ""

    @property
    def kept(self) -> bool:
        """Whether it held each time."""
        return self.held == self.total


class Verdict(NamedTuple):
    """What a ledger proves of S1, S2, S3 and S5, and which rids were in flight at a crash."""

    promises: Mapping[str, Held]
    in_flight: tuple[str, ...]
    begun: int

    @property
    def kept(self) -> bool:
        """Whether every promise held each time."""
        return all(each.kept for each in self.promises.values())


def encode_line(line: LedgerLine) -> bytes:
    """Return a line's bytes with its line end."""
    return msgspec.json.encode(line) + b"\n"


def read_ledger(path: Path) -> list[LedgerLine]:
    """Return every line of a ledger; one that a crash cut off is left out.

    Raises:
        ConfigError: LEDGER: the file is missing, or a line is damaged otherwise than by a crash.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError("LEDGER", f"{path}: {error.strerror}") from error
    decoder = msgspec.json.Decoder(LedgerLine)
    lines: list[LedgerLine] = []
    torn = 0
    for number, text in enumerate(raw.split(b"\n"), start=1):
        if not text:
            continue
        try:
            line = decoder.decode(text)
        except msgspec.MsgspecError:
            if torn:
                raise _damaged(path, torn) from None
            torn = number
            continue
        if torn and line.phase != "start":
            raise _damaged(path, torn)
        torn = 0
        lines.append(line)
    return lines


def _damaged(path: Path, number: int) -> ConfigError:
    return ConfigError("LEDGER", f"{path} line {number}: damaged: it proves nothing from here on")


class _Owner(NamedTuple):
    """Who signed a submission: its rid, the tag it must carry, and its latest start (UTC ms)."""

    rid: str
    tag: Tag
    before_ms: int
    order: SignedOrder
    child: bool


class _Count:
    """Counts one promise."""

    def __init__(self) -> None:
        self.held = 0
        self.total = 0
        self.offender = ""

    def put(self, rid: str, *, held: bool) -> None:
        self.total += 1
        self.held += held
        if not held and not self.offender:
            self.offender = rid

    def done(self) -> Held:
        return Held(self.held, self.total, self.offender)


def judge(lines: list[LedgerLine], signed: Mapping[str, SignedOrder], acct: str) -> Verdict:
    """Judge every submission that was begun against what was signed.

    S5: somebody signed it (by its tag; a FLATTEN's children through their parent). S1: no rid
    began twice. S2: each began before iat + ttl, a FLATTEN's child at most the flatten window
    later. S3: every field, the magic and the comment are the signed ones.
    """
    owners = {
        tag.comment: _Owner(rid, tag, order.iat + order.ttl, order, child=False)
        for rid, order in signed.items()
        for tag in (make_tag(acct, rid),)
    }
    flattens = {rid: order for rid, order in signed.items() if order.op is Op.FLATTEN}
    counts = {name: _Count() for name in PROMISES}
    begun: set[str] = set()
    open_acts: dict[int, str] = {}
    comment_chars = 0
    for line in lines:
        if line.phase == "start":
            comment_chars = int(line.result.get("comment_chars", 0))
        elif line.phase == "end":
            open_acts.pop(line.n, None)
        elif line.phase == "begin":
            owner = owners.get(line.comment[:COMMENT_TAG_CHARS])
            if owner is None or owner.order.op is Op.FLATTEN:
                owner = _child_owner(line, flattens, acct)
            rid = owner.rid if owner else f"n={line.n}"
            open_acts[line.n] = rid
            counts["S5"].put(rid, held=owner is not None)
            if owner is not None:
                counts["S1"].put(rid, held=rid not in begun)
                begun.add(rid)
                counts["S2"].put(rid, held=line.wall_ms < owner.before_ms)
                counts["S3"].put(rid, held=_unaltered(line, owner, comment_chars))
    return Verdict(
        promises={name: count.done() for name, count in counts.items()},
        in_flight=tuple(open_acts.values()),
        begun=counts["S5"].total,
    )


def _child_owner(line: LedgerLine, flattens: Mapping[str, SignedOrder], acct: str) -> _Owner | None:
    ticket = line.fields.get("ticket")
    if not isinstance(ticket, int):
        return None
    for parent, order in flattens.items():
        rid = child_rid(parent, ticket)
        tag = make_tag(acct, rid)
        if line.comment[:COMMENT_TAG_CHARS] == tag.comment:
            before = order.iat + order.ttl + limits.FLATTEN_WINDOW_MS
            return _Owner(rid, tag, before, order, child=True)
    return None


def _unaltered(line: LedgerLine, owner: _Owner, comment_chars: int) -> bool:
    if line.magic & _HASH_MASK != owner.tag.mt5_hash:
        return False
    body = owner.order.body
    if owner.child:
        return isinstance(body, Flatten) and _child_unaltered(line, body)
    if line.op != owner.order.op.value:
        return False
    wanted_comment = body.comment if isinstance(body, Open) else ""
    if isinstance(body, Open) and line.magic >> _HASH_BITS != body.strategy:
        return False
    if not _comment_ok(line.comment, owner.tag, wanted_comment, comment_chars):
        return False
    return _same_fields(line.fields, _signed_fields(body))


def _comment_ok(shown: str, tag: Tag, comment: str, comment_chars: int) -> bool:
    full = tag.broker_comment(comment, limits.COMMENT_CHARS_MAX + COMMENT_TAG_CHARS + 1)
    if comment_chars:
        return shown == full[:comment_chars]
    return full.startswith(shown)


def _child_unaltered(line: LedgerLine, parent: Flatten) -> bool:
    if line.op == Op.CLOSE:
        whole = line.fields.get("volume") == "0"
        symbol = not parent.symbol or line.fields.get("symbol") == parent.symbol
        return parent.scope in ("POSITIONS", "ALL") and whole and symbol
    return line.op == Op.CANCEL and parent.scope in ("PENDINGS", "ALL")


_OPEN: Final = ("symbol", "type", "volume", "price", "sl", "tp", "deviation", "expiration")
_CLOSE: Final = ("ticket", "symbol", "volume", "deviation")
_MODIFY: Final = ("ticket", "price", "sl", "tp", "old_sl", "old_tp", "expiration")
_CANCEL: Final = ("ticket",)
_FIELDS: Final[Mapping[type[Request], tuple[str, ...]]] = {
    Open: _OPEN,
    Close: _CLOSE,
    Modify: _MODIFY,
    Cancel: _CANCEL,
}


def _signed_fields(body: Request) -> dict[str, str | int]:
    return {name: getattr(body, name) for name in _FIELDS.get(type(body), ())}


def _same_fields(given: Mapping[str, str | int], signed: Mapping[str, str | int]) -> bool:
    # As texts: the paper broker keeps every digit it was given.
    return dict(given) == dict(signed) and bool(signed)
