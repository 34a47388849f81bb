"""A second reader, written from protocol.md with the standard library alone.

It imports nothing of ours, so that a mistake shared by signer and verifier still shows: the
vectors and the differential tests hold both against it. It is slow and plain on purpose.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

__all__ = [
    "chain_link", "child", "digest", "hkdf", "key", "legal_json", "mac", "p", "request_parts",
    "tag_of",
]  # fmt: skip

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = "0123456789"
_HEX = "0123456789abcdef"


def hkdf(root: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Return RFC 5869 extract and expand with SHA-256."""
    pseudo_random_key = hmac.new(salt, root, hashlib.sha256).digest()
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(
            pseudo_random_key, block + info + bytes([counter]), hashlib.sha256
        ).digest()
        out += block
        counter += 1
    return out[:length]


def key(root: bytes, mode: str, acct: str, kid: str, purpose: str) -> bytes:
    """Return one derived key (protocol.md 4.2)."""
    salt = hashlib.sha256(b"ztbridge/v5/salt").digest()
    info = b""
    for part in ("ztbridge/v5", mode, acct, kid, purpose):
        info += bytes([len(part)]) + part.encode()
    return hkdf(root, salt, info, 32)


def p(purpose: str, head: bytes, body: bytes) -> bytes:
    """Return the MAC input (protocol.md 4.4)."""
    out = b"ztbridge\x00mac\x00v5\x00"
    out += bytes([len(purpose)]) + purpose.encode()
    out += bytes([len(head) // 256, len(head) % 256]) + head
    size = len(body)
    return out + bytes([size >> 24, (size >> 16) & 255, (size >> 8) & 255, size & 255]) + body


def mac(secret: bytes, purpose: str, head: bytes, body: bytes) -> str:
    """Return a MAC as 64 hex digits."""
    return hmac.new(secret, p(purpose, head, body), hashlib.sha256).hexdigest()


def digest(label: str, head: bytes, body: bytes) -> str:
    """Return req-hash (label "req") or order-hash (label "order")."""
    return hashlib.sha256(p(label, head, body)).hexdigest()


def _all_in(text: str, alphabet: str, low: int, high: int) -> bool:
    return low <= len(text) <= high and all(letter in alphabet for letter in text)


def _mac_text(text: str) -> bool:
    return _all_in(text, _HEX, 64, 64)


def request_parts(token: bytes) -> list[str] | None:
    """Return the eleven parts of a request token, or None: no regular expression in here."""
    if len(token) > 512 or any(byte < 0x21 or byte > 0x7E for byte in token):
        return None
    parts = token.decode().split(":")
    if len(parts) != 11:
        return None
    prefix, version, kid, acct, op, rid, iat, ttl, inc, mac_ea, mac_srv = parts
    good = (
        prefix in ("RISK_PASS", "AUTH_PASS")
        and version == "5"
        and _all_in(kid, _LOWER + _DIGITS + "-", 2, 16)
        and _all_in(acct, _LOWER + _UPPER + _DIGITS + "_-", 1, 24)
        and _all_in(op, _UPPER + "_", 1, 16)
        and _all_in(rid, _HEX, 32, 32)
        and rid != "0" * 32
        and _all_in(iat, _DIGITS, 13, 13)
        and iat[0] != "0"
        and _all_in(ttl, _DIGITS, 3, 5)
        and ttl[0] != "0"
        and 200 <= int(ttl) <= 10_000
        and _all_in(inc, _HEX, 16, 16)
        and (mac_ea == "-" or _mac_text(mac_ea))
        and _mac_text(mac_srv)
    )
    return parts if good else None


def legal_json(body: bytes, keys: list[str]) -> dict[str, str | int] | None:
    """Return the fields of a request body if its form is legal (values are not judged)."""
    if len(body) > 4096 or any(b < 0x20 or b > 0x7E or b == 0x5C for b in body):
        return None
    try:
        pairs = json.loads(body, object_pairs_hook=lambda found: found)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, list) or [name for name, _ in pairs] != keys:
        return None
    if any(type(value) not in (str, int) for _, value in pairs):
        return None
    written = ",".join(
        f'"{name}":"{value}"' if isinstance(value, str) else f'"{name}":{value}'
        for name, value in pairs
    )
    return dict(pairs) if body == b"{" + written.encode() + b"}" else None


def tag_of(acct: str, rid: str) -> tuple[int, int, str]:
    """Return the MT5 hash part, the MT4 magic and the comment tag (protocol.md 5.7)."""
    h = hashlib.sha256(b"ztbridge/v5/tag\x00" + acct.encode() + b"\x00" + rid.encode()).digest()
    mt5 = ((h[0] * 256 + h[1]) * 256 + h[2]) * 65536 + h[3] * 256 + h[4]
    mt4 = (((h[0] * 256 + h[1]) * 256 + h[2]) * 256 + h[3]) // 2
    return mt5, mt4, "Z" + base64.b32encode(h[8:15]).decode()[:11]


def child(rid: str, ticket: int) -> str:
    """Return the rid of a FLATTEN's child (protocol.md 5.6)."""
    text = "ztbridge/v5/child" + "\0" + rid + "\0" + str(ticket)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def chain_link(previous: bytes, record: bytes) -> bytes:
    """Return the next hash of the record (protocol.md 11)."""
    return hashlib.sha256(bytes([1]) + previous + record).digest()
