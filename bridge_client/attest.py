"""The EA's word: its record decides, never the server's fields (protocol.md 14).

The relay between connector and EA can drop, delay and lie; it has no key for this record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from bridge_core.protocol.codes import FINAL, ReasonCode, Status
from bridge_core.protocol.replies import Child, OrderView
from bridge_core.protocol.signing import NO_ORDER_HASH, ea_record_mac_holds
from bridge_core.protocol.tag import child_rid
from bridge_core.protocol.token import EaRecord, parse_ea_record

__all__ = ["Subject", "apply_word", "record_of"]

_WORDS = frozenset(str(status) for status in FINAL)


class Subject(NamedTuple):
    """The order that a word is about: what we signed, and the keys that may attest it.

    `order_hash` is "" when our own bytes are gone (a lost disk). `keys` maps kid to `reply<ea`.
    """

    acct: str
    rid: str
    op: str
    order_hash: str
    keys: Mapping[str, bytes]


class _Word(NamedTuple):
    record: EaRecord
    verified: bool


def record_of(subject: Subject, text: str, mac: str) -> _Word | None:
    """Return the record if it is about this order, and whether its MAC could be verified.

    None: no record, a forged one, or one about something else; it counts as absent.
    """
    raw = text.encode("ascii", "replace")
    record = parse_ea_record(raw) if text else None
    if record is None or (record.acct, record.rid) != (subject.acct, subject.rid):
        return None
    if record.op != subject.op and record.order_hash != NO_ORDER_HASH:
        return None
    if not _about_our_bytes(record, subject.order_hash):
        return None
    key = subject.keys.get(record.kid)
    if key is None:
        return _Word(record, verified=False)
    return _Word(record, verified=True) if ea_record_mac_holds(key, raw, mac) else None


def _about_our_bytes(record: EaRecord, order_hash: str) -> bool:
    # The form for a rid that the EA never saw can only ever say that nothing happened.
    if record.order_hash == NO_ORDER_HASH:
        return record.status == Status.DENIED
    return not order_hash or record.order_hash == order_hash


def apply_word(view: OrderView, subject: Subject, mac: str) -> OrderView:
    """Return the order as the EA attests it.

    Without a record a DENIED stays DENIED, unattested (rule 7); any other outcome is UNKNOWN
    until the EA's word arrives. A FLATTEN is judged by its children.
    """
    if subject.op == "FLATTEN" and view.children:
        return _flatten(view, subject)
    word = record_of(subject, view.ea, mac)
    if word is None:
        return _unattested(view)
    record = word.record
    if not word.verified:
        return replace(_unattested(view), evidence="UNVERIFIED")
    disagree = view.status in _WORDS and record.status != view.status
    return replace(
        view,
        status=record.status if record.status in _WORDS else Status.UNKNOWN,
        code=ReasonCode.SERVER_LIED if disagree else record.code,
        final=record.status in _WORDS,
        attested=True,
        evidence=view.evidence or "EA",
        ticket=record.ticket,
        volume=record.volume,
        price=record.price,
        sl=record.sl,
        tp=record.tp,
    )


def _unattested(view: OrderView) -> OrderView:
    if view.status == Status.DENIED:
        return replace(view, attested=False)
    if view.status in _WORDS:
        return replace(
            view,
            status=Status.UNKNOWN,
            code=ReasonCode.EA_UNATTESTED,
            final=False,
            attested=False,
        )
    return replace(view, attested=False)


def _flatten(view: OrderView, subject: Subject) -> OrderView:
    children = [_child(child, subject) for child in view.children]
    open_ones = [c for c in children if c.status not in _WORDS]
    if open_ones:
        return replace(_unattested(view), children=children, status=Status.UNKNOWN, final=False)
    done = all(c.status in (Status.FILLED, Status.DONE) for c in children)
    return replace(
        view,
        children=children,
        status=Status.DONE if done else Status.PARTIAL,
        code=ReasonCode.NONE if done else ReasonCode.CHILD_FAILED,
        final=True,
        attested=True,
    )


def _child(child: Child, subject: Subject) -> Child:
    about = Subject(subject.acct, child_rid(subject.rid, child.ticket), child.op, "", subject.keys)
    word = record_of(about, child.ea, child.ea_mac)
    if word is not None and word.verified:
        return replace(child, rid=about.rid, status=word.record.status, code=word.record.code)
    if child.status == Status.DENIED:
        return child
    code = ReasonCode.EA_UNATTESTED if child.status in _WORDS else child.code
    return replace(child, status=Status.UNKNOWN, code=code)
