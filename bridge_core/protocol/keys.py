"""Key sets and the keys derived from their roots (protocol.md 4, RFC 5869).

A key set is one kid: its root stays with its owner, verifiers hold derived keys only. What a kid
may do (scope) and whether it lives (state) is known by whoever verifies, never told by a message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NoReturn, SupportsIndex

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.operations import OPERATIONS, Lane, Op, Purpose, Scope

__all__ = [
    "EVENT_PURPOSES", "KeySet", "KeyState", "Mode", "Secret", "derive", "derive_set", "purposes",
    "request_purpose",
]  # fmt: skip

_SALT: Final = hashlib.sha256(b"ztbridge/v5/salt").digest()
EVENT_PURPOSES: Final = (Purpose.EVENT_SRV, Purpose.EVENT_EA)


class Mode(StrEnum):
    """Paper keys cannot sign live orders: the mode is part of every derivation."""

    PAPER = "paper"
    LIVE = "live"


class KeyState(StrEnum):
    """A retiring set verifies until its date; a revoked one never again."""

    ACTIVE = "active"
    RETIRING = "retiring"
    REVOKED = "revoked"


class Secret(bytes):
    """Secret bytes that no repr, text or pickle shows, in whatever stands around them."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Say what it is; a traceback with locals or a tuple's repr shows this."""
        return "<Secret>"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        """Refuse to be pickled or copied.

        Raises:
            TypeError: always.
        """
        raise TypeError("a secret is not pickled")


class KeySet(Struct, frozen=True, kw_only=True):
    """What one side holds of one kid: derived keys by purpose, never printed."""

    kid: str
    acct: str
    mode: Mode
    scope: Scope
    state: KeyState = KeyState.ACTIVE
    not_after_ms: int = 0
    curve_public: str = ""
    keys: Mapping[Purpose, bytes]

    def __repr__(self) -> str:
        """Name the set; a key in a log would be a key lost."""
        return f"<KeySet {self.kid} {self.scope} {self.state}>"

    def alive(self, now_ms: int) -> bool:
        """Return whether this set still verifies at UTC ms."""
        if self.state is KeyState.ACTIVE:
            return not self.not_after_ms or now_ms < self.not_after_ms
        return self.state is KeyState.RETIRING and now_ms < self.not_after_ms


def _lp1(text: str) -> bytes:
    raw = text.encode("ascii")
    return len(raw).to_bytes(1, "big") + raw


def derive(root: bytes, *, mode: Mode, acct: str, kid: str, purpose: Purpose) -> bytes:
    """Return the 32-byte key for one purpose (HKDF-SHA256, RFC 5869).

    Raises:
        ValueError: the root is not exactly 32 bytes; other lengths are silent aliases in HMAC.
    """
    if len(root) != limits.KEY_BYTES:
        raise ValueError("root key length")
    info = b"".join(_lp1(part) for part in ("ztbridge/v5", mode, acct, kid, purpose))
    hkdf = HKDF(algorithm=SHA256(), length=limits.KEY_BYTES, salt=_SALT, info=info)
    return Secret(hkdf.derive(root))


def purposes(scope: Scope, *, ea: bool) -> tuple[Purpose, ...]:
    """Return the purposes that a set of this scope has (protocol.md 4.3)."""
    held = [Purpose.QUERY_SRV, Purpose.REPLY_SRV]
    if ea:
        held.append(Purpose.REPLY_EA)
    if scope in (Scope.TRADE, Scope.REDUCE):
        held += [Purpose.ORDER_SRV, Purpose.ORDER_EA]
    if scope is Scope.OPERATOR:
        held += [Purpose.ADMIN_SRV, Purpose.ADMIN_EA]
    return tuple(held)


def derive_set(root: bytes, base: KeySet, wanted: Iterable[Purpose]) -> KeySet:
    """Return `base` with the keys of the wanted purposes derived from its root."""
    keys = {
        purpose: derive(root, mode=base.mode, acct=base.acct, kid=base.kid, purpose=purpose)
        for purpose in wanted
    }
    return KeySet(
        kid=base.kid,
        acct=base.acct,
        mode=base.mode,
        scope=base.scope,
        state=base.state,
        not_after_ms=base.not_after_ms,
        curve_public=base.curve_public,
        keys=keys,
    )


def request_purpose(op: Op, scope: Scope) -> tuple[Purpose, Purpose | None]:
    """Return the purposes (srv, ea) under which a set of this scope signs an operation.

    They are the operation table's, but an operator set has no order keys: it signs the stop lane
    with its admin keys (protocol.md 4).
    """
    spec = OPERATIONS[op]
    if scope is Scope.OPERATOR and spec.lane is Lane.STOP:
        return Purpose.ADMIN_SRV, Purpose.ADMIN_EA
    return spec.purpose, spec.purpose_ea
