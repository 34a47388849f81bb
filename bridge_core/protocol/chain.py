"""The hash chain of the server's log: hash = SHA256(01 || prev || record) (protocol.md 11).

Both sides need it: the server writes, the connector and `ztb audit` recompute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

__all__ = ["GENESIS", "ChainFault", "Head", "Record", "encode_record", "link", "verify_range"]

GENESIS: Final = bytes(32)


class Head(NamedTuple):
    """How many records there are, and the hash of the last one (32 bytes)."""

    size: int
    hash: bytes


class ChainFault(NamedTuple):
    """The first index (1-based) at which the chain does not hold."""

    n: int
    why: str


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One log record; its bytes are this struct as compact JSON in field order.

    `ts` is UTC ms, `data` holds the facts of the change as short texts.
    """

    ts: int
    kind: str
    rid: str = ""
    op: str = ""
    state: str = ""
    code: str = ""
    data: dict[str, str] = {}


def encode_record(record: Record) -> bytes:
    """Return the bytes that are hashed and stored."""
    return msgspec.json.encode(record)


def link(previous: bytes, record: bytes) -> bytes:
    """Return the hash of a record that follows the hash `previous`."""
    return hashlib.sha256(b"\x01" + previous + record).digest()


def verify_range(start: Head, rows: Iterable[tuple[int, bytes, bytes]]) -> Head | ChainFault:
    """Return the head after the rows (n, record, hash), or the first fault.

    `start` is the head before the first row: `Head(0, GENESIS)` for the whole log.
    """
    size, previous = start
    for n, record, claimed in rows:
        if n != size + 1:
            return ChainFault(size + 1, "missing or out of order")
        digest = link(previous, record)
        if digest != claimed:
            return ChainFault(n, "hash does not match the record")
        size, previous = n, digest
    return Head(size, previous)
