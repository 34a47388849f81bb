"""What bytes a MAC covers; making and verifying MACs (protocol.md 4).

Only a verify function makes a `VerifiedBody`, so handing raw bytes to a decoder that wants one is
a type error. MACs are HMAC-SHA256 over the bytes exactly as sent, compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NamedTuple, NewType

from bridge_core.protocol import limits
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.token import (
    NO_MAC,
    EventToken,
    ReplyToken,
    RequestToken,
)

__all__ = [
    "NO_ORDER_HASH", "Frames", "RequestKeys", "VerifiedBody", "ea_record_mac",
    "ea_record_mac_holds", "event_mac_holds", "mac", "mac_input", "order_hash", "reply_mac_holds",
    "request_hash", "request_mac_ea_holds", "request_mac_holds", "sign_event", "sign_reply",
    "sign_request",
]  # fmt: skip

VerifiedBody = NewType("VerifiedBody", bytes)

NO_ORDER_HASH: Final = "0" * 64
_LABEL: Final = b"ztbridge\x00mac\x00v5\x00"
_DUMMY_KEY: Final = bytes(limits.KEY_BYTES)


class Frames(NamedTuple):
    """The payload of one message: F1 token and F2 body (F0 is always `ZTB5`)."""

    token: bytes
    body: bytes


def mac_input(purpose: str, head: bytes, body: bytes) -> bytes:
    """Return P(purpose, head, body): injective, because every part carries its length."""
    prefix = _PREFIXES.get(purpose) or _prefix(purpose)
    sizes = len(head).to_bytes(2, "big"), len(body).to_bytes(4, "big")
    return b"".join((prefix, sizes[0], head, sizes[1], body))


def _prefix(purpose: str) -> bytes:
    label = purpose.encode("ascii")
    return _LABEL + len(label).to_bytes(1, "big") + label


_PREFIXES: Final[dict[str, bytes]] = {purpose: _prefix(purpose) for purpose in Purpose}
_PREFIXES["req"] = _prefix("req")


def mac(key: bytes, purpose: str, head: bytes, body: bytes) -> bytes:
    """Return HMAC-SHA256 over P; `key` has exactly 32 bytes."""
    return hmac.digest(key, mac_input(purpose, head, body), "sha256")


def _holds(key: bytes | None, purpose: str, head: bytes, body: bytes, claimed: str) -> bool:
    # A missing key costs the same time as a wrong one.
    wanted = mac(key if key is not None else _DUMMY_KEY, purpose, head, body)
    given = bytes.fromhex(claimed) if claimed != NO_MAC else b""
    return hmac.compare_digest(wanted, given) and key is not None


class RequestKeys(NamedTuple):
    """The keys and their purposes that sign one request; `ea` only on accounts with an EA."""

    srv: bytes
    srv_purpose: Purpose
    ea: bytes | None = None
    ea_purpose: Purpose | None = None


def sign_request(token: RequestToken, body: bytes, keys: RequestKeys) -> Frames:
    """Return the frames of a request: mac-ea first, then mac-srv, which covers it."""
    head = token.head()
    mac_ea = NO_MAC
    if keys.ea is not None and keys.ea_purpose is not None:
        mac_ea = mac(keys.ea, keys.ea_purpose, head, body).hex()
    srv_head = head + mac_ea.encode("ascii") + b":"
    mac_srv = mac(keys.srv, keys.srv_purpose, srv_head, body).hex()
    return Frames(srv_head + mac_srv.encode("ascii"), body)


def _srv_head(token: bytes) -> bytes:
    return token[: -limits.MAC_HEX]


def _ea_head(token: bytes, parts: RequestToken) -> bytes:
    # Cut from the bytes as received: nothing is written anew to be verified.
    return token[: -(len(parts.mac_ea) + 1 + limits.MAC_HEX)]


def request_mac_holds(
    frames: Frames, parts: RequestToken, key: bytes | None, purpose: Purpose
) -> VerifiedBody | None:
    """Return the body once mac-srv holds, else None; `key` None still costs one HMAC."""
    if _holds(key, purpose, _srv_head(frames.token), frames.body, parts.mac_srv):
        return VerifiedBody(frames.body)
    return None


def request_mac_ea_holds(
    frames: Frames, parts: RequestToken, key: bytes | None, purpose: Purpose
) -> VerifiedBody | None:
    """Return the body once mac-ea holds: the executor's own check."""
    if _holds(key, purpose, _ea_head(frames.token, parts), frames.body, parts.mac_ea):
        return VerifiedBody(frames.body)
    return None


def request_hash(frames: Frames) -> str:
    """Return req-hash: SHA-256 of P("req", F1, F2)."""
    return hashlib.sha256(mac_input("req", frames.token, frames.body)).hexdigest()


def order_hash(frames: Frames, parts: RequestToken) -> str:
    """Return order-hash: SHA-256 of P("order", head, body) of the request as mac-ea covers it."""
    covered = mac_input("order", _ea_head(frames.token, parts), frames.body)
    return hashlib.sha256(covered).hexdigest()


def sign_reply(token: ReplyToken, body: bytes, key: bytes) -> Frames:
    """Return the frames of a reply; `token.mac_ea` is passed on as the EA made it."""
    head = token.head() + token.mac_ea.encode("ascii") + b":"
    return Frames(head + mac(key, Purpose.REPLY_SRV, head, body).hex().encode("ascii"), body)


def reply_mac_holds(frames: Frames, parts: ReplyToken, key: bytes | None) -> VerifiedBody | None:
    """Return the body once the reply's mac-srv holds, else None."""
    if _holds(key, Purpose.REPLY_SRV, _srv_head(frames.token), frames.body, parts.mac_srv):
        return VerifiedBody(frames.body)
    return None


def ea_record_mac(key: bytes, record: bytes) -> str:
    """Return the reply's mac-ea: HMAC(reply<ea, P("reply<ea", record, ""))."""
    return mac(key, Purpose.REPLY_EA, record, b"").hex()


def ea_record_mac_holds(key: bytes | None, record: bytes, claimed: str) -> bool:
    """Return whether the EA's attestation holds under the record's own kid."""
    return _holds(key, Purpose.REPLY_EA, record, b"", claimed)


def sign_event(
    token: EventToken, body: bytes, key: bytes, purpose: Purpose = Purpose.EVENT_SRV
) -> Frames:
    """Return the token and body frames of an event."""
    head = token.head()
    return Frames(head + mac(key, purpose, head, body).hex().encode("ascii"), body)


def event_mac_holds(
    frames: Frames, parts: EventToken, key: bytes | None, purpose: Purpose = Purpose.EVENT_SRV
) -> VerifiedBody | None:
    """Return the body once the event's MAC holds, else None."""
    if _holds(key, purpose, _srv_head(frames.token), frames.body, parts.mac):
        return VerifiedBody(frames.body)
    return None
