"""Hypothesis strategies drawn from the contract itself: whatever a body allows, and no more."""

from __future__ import annotations

import string
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from bridge_core.protocol.messages import GetStatus, Request
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.token import EventToken, ReplyToken, RequestToken

__all__ = [
    "BODIES", "HEX", "accounts", "bodies", "event_tokens", "kids", "mac_texts", "ops",
    "reply_tokens", "request_tokens", "rids", "times", "words",
]  # fmt: skip

HEX: Final = "0123456789abcdef"
BODIES: Final = tuple(sorted({spec.body for spec in OPERATIONS.values()}, key=lambda b: b.__name__))

kids = st.text(string.ascii_lowercase + string.digits + "-", min_size=2, max_size=16)
accounts = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=24)
rids = st.text(HEX, min_size=32, max_size=32).filter(lambda text: text != "0" * 32)
incarnations = st.text(HEX, min_size=16, max_size=16)
hashes = st.text(HEX, min_size=64, max_size=64)
times = st.integers(1_000_000_000_000, 9_999_999_999_999)
words = st.from_regex(r"\A[A-Z][A-Z0-9_]{0,31}\Z")
mac_texts = st.one_of(st.just("-"), hashes)
ops = st.sampled_from(list(Op))
naturals = st.integers(0, 10**18 - 1)
streams = st.from_regex(r"\A[!-9;-~]([ -9;-~]{0,62}[!-9;-~])?\Z")


def _field(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case msgspec.inspect.StrType(pattern=str(pattern)):
            ascii_only = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
            return st.from_regex(pattern, alphabet=ascii_only)
        case msgspec.inspect.IntType(ge=int(low), le=int(high)):
            return st.integers(low, high)
        case msgspec.inspect.LiteralType(values=values):
            return st.sampled_from(list(values))
    raise AssertionError(f"a body field without a bound: {kind}")


def bodies(kind: type[Request]) -> st.SearchStrategy[Request]:
    """Return every legal body of one kind; a field without a pattern or bound is an error."""
    if kind is GetStatus:
        by_rid = st.builds(GetStatus, rid=rids, client_order_id=st.just(""))
        order_ids = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=36)
        return by_rid | st.builds(GetStatus, rid=st.just(""), client_order_id=order_ids)
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return st.builds(kind, **{field.name: _field(field.type) for field in info.fields})


request_tokens = st.builds(
    RequestToken,
    prefix=st.sampled_from(["RISK_PASS", "AUTH_PASS"]),
    kid=kids,
    acct=accounts,
    op=ops.map(str),
    rid=rids,
    iat=times,
    ttl=st.integers(200, 10_000),
    inc=incarnations,
    mac_ea=mac_texts,
    mac_srv=hashes,
)
reply_tokens = st.builds(
    ReplyToken,
    kid=kids,
    acct=accounts,
    rid=rids,
    time=times,
    status=words,
    code=st.one_of(st.just("-"), words),
    req_hash=hashes,
    inc=incarnations,
    log_size=naturals,
    log_head=hashes,
    mac_ea=mac_texts,
    mac_srv=hashes,
)
event_tokens = st.builds(
    EventToken,
    kid=kids,
    acct=accounts,
    stream=streams,
    seq=naturals,
    time=times,
    mac=hashes,
)
