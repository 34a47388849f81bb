"""Token grammar: text <-> parts (protocol.md 3).

One anchored bytes regular expression accepts each kind; integers are read only after it. Nothing
here knows a key: a parsed token is not yet an authentic one.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from bridge_core.protocol import limits

__all__ = [
    "NO_INCARNATION", "NO_MAC", "EaRecord", "EventToken", "ReplyToken", "RequestToken",
    "parse_ea_record", "parse_event", "parse_reply", "parse_request",
]  # fmt: skip

NO_MAC: Final = "-"
NO_INCARNATION: Final = "0" * limits.INCARNATION_HEX

_KID = rb"[a-z0-9-]{2,16}"
_ACCT = rb"[A-Za-z0-9_-]{1,24}"
_RID = rb"(?!0{32}:)[0-9a-f]{32}"
_TIME = rb"[1-9][0-9]{12}"
_TTL = rb"[2-9][0-9]{2}|[1-9][0-9]{3}|10000"  # 200 to 10000 ms
_HEX64 = rb"[0-9a-f]{64}"
_WORD = rb"[A-Z][A-Z0-9_]{0,31}"
_NAT = rb"(?:0|[1-9][0-9]{0,17})"  # 18 digits: below 2^63 in every language
_DEC = rb"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,8})?"


class RequestToken(NamedTuple):
    """A request's token; `rid` is request id and nonce in one, `iat` UTC ms, `ttl` ms."""

    prefix: str
    kid: str
    acct: str
    op: str
    rid: str
    iat: int
    ttl: int
    inc: str
    mac_ea: str = NO_MAC
    mac_srv: str = NO_MAC

    @property
    def deadline_ms(self) -> int:
        """UTC ms at which the request is dead."""
        return self.iat + self.ttl

    def head(self) -> bytes:
        """Return the bytes up to and including the colon before mac-ea."""
        return (
            f"{self.prefix}:5:{self.kid}:{self.acct}:{self.op}:{self.rid}"
            f":{self.iat}:{self.ttl}:{self.inc}:"
        ).encode("ascii")


class ReplyToken(NamedTuple):
    """A reply's token, bound to the request by rid and req_hash; log_* witness the record."""

    kid: str
    acct: str
    rid: str
    time: int
    status: str
    code: str
    req_hash: str
    inc: str
    log_size: int
    log_head: str
    mac_ea: str = NO_MAC
    mac_srv: str = NO_MAC

    def head(self) -> bytes:
        """Return the bytes up to and including the colon before mac-ea."""
        return (
            f"RISK_ACK:5:{self.kid}:{self.acct}:{self.rid}:{self.time}:{self.status}:{self.code}"
            f":{self.req_hash}:{self.inc}:{self.log_size}:{self.log_head}:"
        ).encode("ascii")


class EventToken(NamedTuple):
    """An event's token: `seq` counts from 1 within `stream`.

    A heartbeat takes no number: its token names the server's own stream (`srv-<inc>`) with the
    last number given in it, 0 before the first.
    """

    kid: str
    acct: str
    stream: str
    seq: int
    time: int
    mac: str = NO_MAC

    def head(self) -> bytes:
        """Return the bytes up to and including the colon before the MAC."""
        return (
            f"RISK_EVENT:5:{self.kid}:{self.acct}:{self.stream}:{self.seq}:{self.time}:"
        ).encode("ascii")


class EaRecord(NamedTuple):
    """The EA's word about one request; prices and volume are decimal texts."""

    kid: str
    acct: str
    rid: str
    op: str
    order_hash: str
    status: str
    code: str
    ticket: int
    volume: str
    price: str
    sl: str
    tp: str
    time: int

    def text(self) -> bytes:
        """Return the record's bytes, as they travel in the reply's field `ea`."""
        return ("EA_REC:5:" + ":".join(str(part) for part in self)).encode("ascii")


_REQUEST: Final = re.compile(
    rb"\A(RISK_PASS|AUTH_PASS):5:(" + _KID + rb"):(" + _ACCT + rb"):([A-Z_]{1,16}):(" + _RID
    + rb"):(" + _TIME + rb"):(" + _TTL + rb"):([0-9a-f]{16}):(-|" + _HEX64 + rb"):("
    + _HEX64 + rb")\Z"
)  # fmt: skip
_REPLY: Final = re.compile(
    rb"\ARISK_ACK:5:(" + _KID + rb"):(" + _ACCT + rb"):(" + _RID + rb"):(" + _TIME + rb"):(" + _WORD
    + rb"):(-|" + _WORD + rb"):(" + _HEX64 + rb"):([0-9a-f]{16}):(" + _NAT + rb"):(" + _HEX64
    + rb"):(-|" + _HEX64 + rb"):(" + _HEX64 + rb")\Z"
)  # fmt: skip
_EVENT: Final = re.compile(
    rb"\ARISK_EVENT:5:(" + _KID + rb"):(" + _ACCT + rb"):([!-9;-~](?:[ -9;-~]{0,62}[!-9;-~])?):("
    + _NAT + rb"):(" + _TIME + rb"):(" + _HEX64 + rb")\Z"
)  # fmt: skip
_EA_RECORD: Final = re.compile(
    rb"\AEA_REC:5:(" + _KID + rb"):(" + _ACCT + rb"):(" + _RID + rb"):([A-Z_]{1,16}):("
    + _HEX64 + rb"):(" + _WORD + rb"):(-|" + _WORD + rb"):(" + _NAT + rb"):(" + _DEC + rb"):("
    + _DEC + rb"):(" + _DEC + rb"):(" + _DEC + rb"):(" + _TIME + rb")\Z"
)  # fmt: skip


def parse_request(token: bytes) -> RequestToken | None:
    """Return the parts of a request token, or None if it is not one."""
    if len(token) > limits.TOKEN_BYTES_MAX or _REQUEST.match(token) is None:
        return None
    parts = token.decode("ascii").split(":")
    return RequestToken(
        prefix=parts[0],
        kid=parts[2],
        acct=parts[3],
        op=parts[4],
        rid=parts[5],
        iat=int(parts[6]),
        ttl=int(parts[7]),
        inc=parts[8],
        mac_ea=parts[9],
        mac_srv=parts[10],
    )


def parse_reply(token: bytes) -> ReplyToken | None:
    """Return the parts of a reply token, or None if it is not one."""
    if len(token) > limits.TOKEN_BYTES_MAX or _REPLY.match(token) is None:
        return None
    parts = token.decode("ascii").split(":")[2:]
    return ReplyToken(
        kid=parts[0],
        acct=parts[1],
        rid=parts[2],
        time=int(parts[3]),
        status=parts[4],
        code=parts[5],
        req_hash=parts[6],
        inc=parts[7],
        log_size=int(parts[8]),
        log_head=parts[9],
        mac_ea=parts[10],
        mac_srv=parts[11],
    )


def parse_event(token: bytes) -> EventToken | None:
    """Return the parts of an event token, or None if it is not one."""
    if len(token) > limits.TOKEN_BYTES_MAX or _EVENT.match(token) is None:
        return None
    kid, acct, stream, seq, time, mac = token.decode("ascii").split(":")[2:]
    return EventToken(kid, acct, stream, int(seq), int(time), mac)


def parse_ea_record(record: bytes) -> EaRecord | None:
    """Return the parts of an EA record, or None if it is not one."""
    if len(record) > limits.EA_RECORD_BYTES_MAX or _EA_RECORD.match(record) is None:
        return None
    parts = record.decode("ascii").split(":")[2:]
    return EaRecord(
        kid=parts[0],
        acct=parts[1],
        rid=parts[2],
        op=parts[3],
        order_hash=parts[4],
        status=parts[5],
        code=parts[6],
        ticket=int(parts[7]),
        volume=parts[8],
        price=parts[9],
        sl=parts[10],
        tp=parts[11],
        time=int(parts[12]),
    )
