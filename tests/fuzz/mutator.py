"""Changes that know what the inputs are made of: fields, quotes, digits, hex, lines, brackets."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["mutated"]

SIZE_MAX: Final = 6_000
_PARTS: Final = re.compile(rb"[:,\"{}\[\]\n\t= ]|[^:,\"{}\[\]\n\t= ]+")
# What parsers have been seen to stumble over.
_ODD: Final = (
    b"", b"-", b"0", b"00", b"-0", b"-1", b"+1", b"1e5", b"1E400", b"0.1", b"NaN", b"Infinity",
    b"9" * 13, b"9" * 18, b"9" * 40, b"9223372036854775808", b"18446744073709551616", b"0" * 32,
    b"0" * 64, b"f" * 64, b"null", b"true", b"[]", b"{}", b'""', b"\\u0000", b"\\ud800", b"\\\\",
    b"\x00", b"\x1b[2J", b"\r", b"\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80",
    "\uff11".encode(), "\u0661".encode(), "\u212a".encode(), b'{"a":' * 60, b"[" * 600,
    b"DENIED", b"FILLED", b"UNKNOWN", b"HALT", b"OPEN", b"AUTH_PASS", b"RISK_PASS", b"RISK_ACK",
    b"tick-", b"tick", b"srv-", b"ea-", b"REDUCE_ONLY", b"ACTIVE", b"inf", b"nan", b"%s%n",
)  # fmt: skip

_Rng = random.Random
_Change = Callable[[bytes, _Rng, Sequence[bytes]], bytes]


def _at(data: bytes, rng: _Rng) -> int:
    return rng.randrange(len(data) + 1)


def _flip(data: bytes, rng: _Rng, _pool: Sequence[bytes]) -> bytes:
    if not data:
        return b"\0"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _byte(data: bytes, rng: _Rng, _pool: Sequence[bytes]) -> bytes:
    at = _at(data, rng)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randrange(2) :]


def _cut(data: bytes, rng: _Rng, _pool: Sequence[bytes]) -> bytes:
    first, second = sorted((_at(data, rng), _at(data, rng)))
    return data[:first] + data[second:]


def _repeat(data: bytes, rng: _Rng, _pool: Sequence[bytes]) -> bytes:
    first, second = sorted((_at(data, rng), _at(data, rng)))
    return data[:second] + data[first:second] * rng.choice((1, 1, 2, 8)) + data[second:]


def _odd(data: bytes, rng: _Rng, _pool: Sequence[bytes]) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.choice(_ODD) + data[at:]


def _splice(data: bytes, rng: _Rng, pool: Sequence[bytes]) -> bytes:
    other = rng.choice(pool)
    return data[: _at(data, rng)] + other[_at(other, rng) :]


def _part(data: bytes, rng: _Rng, pool: Sequence[bytes]) -> bytes:
    """Put another word in the place of one: an odd one, or one of another seed."""
    parts = _PARTS.findall(data)
    if not parts:
        return rng.choice(_ODD)
    other = _PARTS.findall(rng.choice(pool)) or [b""]
    parts[rng.randrange(len(parts))] = rng.choice(_ODD if rng.random() < 0.5 else other)
    return b"".join(parts)


def _swap(data: bytes, rng: _Rng, _pool: Sequence[bytes]) -> bytes:
    parts = _PARTS.findall(data)
    if len(parts) < 2:
        return data
    first, second = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[first], parts[second] = parts[second], parts[first]
    return b"".join(parts)


def _digit(data: bytes, rng: _Rng, pool: Sequence[bytes]) -> bytes:
    places = [at for at, byte in enumerate(data) if chr(byte) in "0123456789abcdef"]
    if not places:
        return _byte(data, rng, pool)
    at = rng.choice(places)
    return data[:at] + rng.choice(b"0123456789abcdefA".decode()).encode() + data[at + 1 :]


_CHANGES: Final[tuple[_Change, ...]] = (
    _flip, _byte, _cut, _repeat, _odd, _splice, _part, _part, _part, _swap, _digit,
)  # fmt: skip


def mutated(data: bytes, rng: _Rng, pool: Sequence[bytes], size_max: int = SIZE_MAX) -> bytes:
    """Return the input with one to four changes; `pool` lends words and ends."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(_CHANGES)(data, rng, pool)
    return data[:size_max]
