"""One order's evidence as one file: `ztb.proof/1`, written and read (protocol.md 4, 7 and 11).

Pure. The file is ASCII JSON that has exactly one spelling: what is read must, written again, give
the same bytes, so nothing can hide between fields. It carries signed bytes and never a key.
`proof_checks.py` judges it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import NO_MAC, RequestToken

__all__ = [
    "INFORMATIVE", "SCHEMA", "Answered", "Claim", "Made", "Message", "Proof", "ProofError",
    "ProofHead", "ProofRow", "Segment", "ShownTag", "decode_proof", "digest_of", "encode_proof",
    "has_ea", "message_of", "shown_tag",
]  # fmt: skip

SCHEMA: Final = "ztb.proof/1"
_NOT_OURS: Final = "it is not a proof that ztb wrote"

# What no check covers, because nothing anybody signed says it: who made the file and when, what
# it says is missing, when a head was seen, and what the ledger says beside the order itself.
INFORMATIVE: Final = ("made", "missing", "record.head.seen", "ledger times")


_Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_HashOrNone = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
_Rid = Annotated[str, Meta(pattern=r"\A(?!0{32}\Z)[0-9a-f]{32}\Z")]
_Acct = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,24}\Z")]
_Index = Annotated[int, Meta(ge=1)]


class ProofError(BridgeError):
    """The file is no proof; `detail` says what is wrong with it."""


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A closed part of the file: every field is there, no other is."""


class Message(_Part, frozen=True):
    """The two signed frames of a message, as text; its bytes are the text in UTF-8."""

    token: str
    body: str

    @property
    def frames(self) -> Frames:
        """Return the bytes."""
        return Frames(self.token.encode("utf-8"), self.body.encode("utf-8"))


class Answered(_Part, frozen=True):
    """One reply about the order. `asked` is the question it answers, null for the order itself."""

    asked: Message | None
    reply: Message


class Claim(_Part, frozen=True):
    """What the file is about, and what it says became of it."""

    rid: _Rid
    client_order_id: str
    account: _Acct
    mode: str
    kid: str
    op: str
    status: str
    code: str
    by: str
    evidence: str
    life: str


class ShownTag(_Part, frozen=True):
    """What the broker shows of the order (protocol.md 5.7); the magic as text."""

    magic: str
    comment: str


class ProofRow(_Part, frozen=True):
    """One record of the server's log: 1-based number, exact text, hash (64 hex digits)."""

    n: _Index
    record: str
    hash: _Hash


class ProofHead(_Part, frozen=True):
    """The head that the rows lead to; `seen` is when this side remembered it, UTC ms, 0 if not."""

    size: _Index
    hash: _Hash
    seen: int


class Segment(_Part, frozen=True):
    """Consecutive records; `prev` is the hash before the first."""

    prev: _Hash
    rows: tuple[ProofRow, ...]
    head: ProofHead


class Made(_Part, frozen=True):
    """When (UTC ms) and by what the file was made; `offline`: the server was not asked."""

    at: int
    version: str
    server: str
    offline: bool


class Proof(_Part, frozen=True):
    """The whole file. `digest` is the SHA-256 of the file with an empty digest: it finds damage.

    Whoever edits the file can compute it anew; it proves nothing against him.
    """

    schema: str
    order: Claim
    tag: ShownTag
    request: Message | None
    req_hash: _HashOrNone
    answers: tuple[Answered, ...]
    record: Segment | None
    ledger: tuple[str, ...]
    made: Made
    missing: tuple[str, ...]
    digest: _HashOrNone


def message_of(frames: Frames) -> Message | None:
    """Return signed frames as the file shows them; None for none, or for bytes that are no text."""
    if not frames.token:
        return None
    try:
        return Message(token=frames.token.decode("utf-8"), body=frames.body.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def shown_tag(account: str, rid: str, strategy: int, *, ea: bool) -> ShownTag:
    """Return the tag that follows from a rid; `strategy` is the number in its magic.

    `ea`: an EA executes, whose MetaTrader 4 knows magics of 31 bits only (protocol.md 5.7).
    """
    tag = make_tag(account, rid)
    magic = tag.mt4_magic if ea else tag.mt5_magic(strategy)
    return ShownTag(magic=str(magic), comment=tag.comment)


def has_ea(request: RequestToken | None, view: OrderView | None) -> bool:
    """Return whether an EA executes on the account: what it verifies is signed for it."""
    if request is not None:
        return request.mac_ea != NO_MAC
    return view is not None and bool(view.ea)


def _text(proof: Proof) -> bytes:
    # ASCII whatever a broker's comment holds, so that no mail program can change it.
    shown = json.dumps(msgspec.to_builtins(proof), ensure_ascii=True, indent=1)
    return (shown + "\n").encode("ascii")


def digest_of(proof: Proof) -> str:
    """Return the digest that the file must carry."""
    return hashlib.sha256(_text(replace(proof, digest=""))).hexdigest()


def encode_proof(proof: Proof) -> bytes:
    """Return the file's bytes, with its digest."""
    return _text(replace(proof, digest=digest_of(proof)))


def decode_proof(raw: bytes) -> Proof:
    """Return the proof in a file's bytes.

    Raises:
        ProofError: not JSON, another schema, a field too many, too few or of another type, or not
            the one spelling; `detail` names the first thing wrong.
    """
    try:
        proof = msgspec.json.decode(raw, type=Proof)
        again = _text(proof)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise ProofError("PROOF", f"{_NOT_OURS}: {error}") from error
    if proof.schema != SCHEMA:
        raise ProofError("PROOF", f"its schema is {proof.schema[:40]!r}, not {SCHEMA}")
    if again != raw:
        raise ProofError("PROOF", f"{_NOT_OURS}: the same content has another spelling in it")
    return proof
