"""Request id -> broker tag: either side knows its order at the broker (protocol.md 5.7).

The hash is not keyed: a rid is 128 random bits, and an auditor must be able to recompute it after
the keys are destroyed.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final, NamedTuple

__all__ = ["COMMENT_TAG_CHARS", "Tag", "child_rid", "make_tag", "strategy_of"]

COMMENT_TAG_CHARS: Final = 12
_HASH_BITS: Final = 40


class Tag(NamedTuple):
    """What the broker shows of a request: two magics (MT5 40 hash bits, MT4 31) and a comment."""

    mt5_hash: int
    mt4_magic: int
    comment: str

    @property
    def usable(self) -> bool:
        """False when a hash part is 0, which brokers read as "no magic": draw a new rid."""
        return self.mt5_hash != 0 and self.mt4_magic != 0

    def mt5_magic(self, strategy: int) -> int:
        """Return strategy (12 bits) x 2^40 + hash: below 2^53, exact in a double."""
        return (strategy << _HASH_BITS) | self.mt5_hash

    def broker_comment(self, comment: str, chars_max: int) -> str:
        """Return the tag, then the user's comment as far as the broker's limit allows."""
        return f"{self.comment} {comment}".rstrip()[:chars_max]


def make_tag(acct: str, rid: str) -> Tag:
    """Return the tag of a request id on an account (both ASCII as on the wire)."""
    digest = hashlib.sha256(
        b"ztbridge/v5/tag\x00" + acct.encode("ascii") + b"\x00" + rid.encode("ascii")
    ).digest()
    return Tag(
        mt5_hash=int.from_bytes(digest[:5], "big"),
        mt4_magic=int.from_bytes(digest[:4], "big") >> 1,
        comment="Z" + base64.b32encode(digest[8:15]).decode("ascii")[:11],
    )


def strategy_of(magic: int) -> int:
    """Return the strategy number in an MT5 magic."""
    return magic >> _HASH_BITS


def child_rid(rid: str, ticket: int) -> str:
    """Return the rid of a FLATTEN's child for one ticket (protocol.md 5.6)."""
    raw = f"ztbridge/v5/child\x00{rid}\x00{ticket}".encode("ascii")
    return hashlib.sha256(raw).hexdigest()[:32]
