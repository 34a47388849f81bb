"""Targets of the hop between server and EA: the link lives, and believes little."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bridge_core.protocol.codes import Status
from bridge_core.protocol.token import parse_ea_record
from bridge_server.backends import ea_hop
from bridge_server.backends.ea_books import account_of, position_of, quote_of, scan_of, spec_of
from bridge_server.backends.ea_hop import parse_from_ea, read_body
from bridge_server.backends.ea_session import Pins, Sessions
from bridge_server.core.attested import Wanted, Word, judge_word
from bridge_server.core.ports import Executed, NotBegun, Rejected
from tests.fuzz.target import Target
from tests.vectors.make import ACCT, build

__all__ = ["HOP"]

_BREAK: Final = b"\n"
_RECORDS: Final = [case["record"] for case in msgspec.json.decode(build()["records.json"])["cases"]]
_BEAT: Final = (
    b'{"instance":"aaaaaaaaaaaaaaaa","clock":1767225600000,"account":1,"server":"S","kind":"demo"}'
)


def _message(data: bytes) -> None:
    """Head, break, body: a message of the EA, or nothing."""
    head, _, body = data.partition(_BREAK)
    message = parse_from_ea([b"", b"ZTH5", head, body])
    if message is None:
        return
    assert message.verb in ("HELLO", "BEAT", "BYE", "BUSY", "ANSWER", "TICK")
    if message.verb == "TICK":
        symbol, bid, ask, time_ms = message.tick
        assert symbol
        assert min(bid, ask) >= 0
        assert time_ms >= 0
    beat = read_body(ea_hop.Beat, body) if message.verb in ("HELLO", "BEAT") else None
    if beat is not None:
        sessions = Sessions(Pins(login=1, server="S", kind="demo"))
        sessions.greet(b"route", beat, 0, 0, hello=True)
        right = (beat.account, beat.server, beat.kind) == (1, "S", "demo")
        assert (sessions.status.wrong_account == "") is right


def _rows(data: bytes) -> None:
    """Any answer to a query: it becomes a picture of the account, or nothing."""
    rows = read_body(ea_hop.Rows, data)
    if rows is not None:
        scan_of(rows, 0, 0)
    for kind, use in _USES:
        found = read_body(kind, data)
        if found is not None:
            use(found)


_USES: Final[tuple[tuple[type[Any], Any], ...]] = (
    (ea_hop.Account, account_of),
    (ea_hop.Position, position_of),
    (ea_hop.Spec, spec_of),
    (ea_hop.Quote, lambda quote: quote_of(quote, 0)),
)


def _word(data: bytes) -> None:
    """A word about an order: whatever it says, only a record of that very order decides it."""
    word = read_body(Word, data)
    if word is None:
        return
    record = parse_ea_record(word.record.encode("ascii", "replace"))
    kid = record.kid if record is not None else "trade-1"
    op = record.op if record is not None else "OPEN"
    wanted = Wanted(acct=ACCT, rid=word.rid, kid=kid, op=op, order_hash="ab" * 32)
    verdict = judge_word(word, wanted)
    if isinstance(verdict, Executed | Rejected | NotBegun):
        assert record is not None, "no EA said so"
        assert (record.acct, record.rid, record.status) == (ACCT, word.rid, word.status)
    if isinstance(verdict, Executed | Rejected):
        assert record is not None
        assert record.order_hash == wanted.order_hash, "a record of another order"
        assert record.status != Status.DENIED


def _words() -> tuple[bytes, ...]:
    made = []
    for text in _RECORDS:
        record = parse_ea_record(text.encode("ascii"))
        assert record is not None
        ours = record._replace(order_hash="ab" * 32).text().decode("ascii")
        word = {
            "rid": record.rid, "status": record.status, "record": ours, "mac": "cd" * 32,
            "code": record.code,
        }  # fmt: skip
        made.append(msgspec.json.encode(word))
    return tuple(made)


HOP: Final = (
    Target(
        "hop_message",
        _message,
        (
            b"HELLO:" + b"a" * 16 + _BREAK + _BEAT,
            b"BEAT:" + b"a" * 16 + _BREAK + _BEAT,
            b"BYE:" + b"a" * 16 + _BREAK + b"{}",
            b"BUSY:7:0f1e2d3c4b5a69788796a5b4c3d2e1f0" + _BREAK + b"{}",
            b"ANSWER:7" + _BREAK + b"{}",
            b"TICK:EURUSD:1.08500:1.08512:1767225600000" + _BREAK + b"{}",
        ),
    ),
    Target(
        "hop_rows",
        _rows,
        (
            (
                b'{"positions":[{"ticket":1,"symbol":"EURUSD","type":"BUY","volume":"0.1",'
                b'"open_price":"1.1","current_price":"1.2"}],"closed":[{"ticket":2,"symbol":"EURUSD",'
                b'"type":"SELL","volume":"0.1","open_price":"1.1","close_price":"1.2",'
                b'"reason":"TP"}],"total":1,"book":1,"complete":true}'
            ),
            b'{"balance":"1","equity":"1","margin":"0","free_margin":"1"}',
            (
                b'{"symbol":"EURUSD","digits":5,"point":"0.00001","volume_min":"0.01",'
                b'"volume_max":"100","volume_step":"0.01","contract_size":"100000"}'
            ),
            b'{"symbol":"EURUSD","bid":"1.1","ask":"1.2"}',
        ),
    ),
    Target("hop_word", _word, _words()),
)
