"""The EA's word: its record decides, never the server's fields (protocol.md 14).

The relay between connector and EA can drop, delay and lie; it has no key for this record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from bridge_core.protocol.codes import FINAL, ReasonCode, Status
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import Child, OrderView, dec
from bridge_core.protocol.signing import NO_ORDER_HASH, ea_record_mac_holds
from bridge_core.protocol.tag import child_rid
from bridge_core.protocol.token import EaRecord, parse_ea_record

__all__ = ["Judged", "Subject", "apply_word", "judge_word", "record_of"]

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


class Judged(NamedTuple):
    """An order as far as the EA attests it, and what the server said against the EA ("" nothing).

    A lie is an alarm, not an outcome: where the EA's word is there it holds, else the order waits
    for it.
    """

    view: OrderView
    lie: str = ""


def apply_word(view: OrderView, subject: Subject, mac: str) -> OrderView:
    """Return the order as the EA attests it; see `judge_word`."""
    return judge_word(view, subject, mac).view


def judge_word(view: OrderView, subject: Subject, mac: str) -> Judged:
    """Return the order as the EA attests it, and whether the server lied about it.

    Without a record a DENIED stays DENIED, unattested (protocol.md 14.1); any other
    outcome is UNKNOWN until the EA's word arrives. A FLATTEN needs its own record and, of each
    child that it shows, the child's.

    Raises:
        RemoteProtocolError: a number of the server's is no decimal.
    """
    children, lie = _children(view, subject)
    word = record_of(subject, view.ea, mac)
    if word is None or not word.verified:
        own = _lie_without(view, word)
        return Judged(replace(_unattested(view, word, own), children=children), own or lie)
    record = word.record
    lie = _contradiction(view, record) or lie
    # A tombstone says that it never ran, and not why the server had refused it.
    buried = record.order_hash == NO_ORDER_HASH and view.status == Status.DENIED
    told = replace(
        view,
        status=record.status if record.status in _WORDS else Status.UNKNOWN,
        code=ReasonCode.SERVER_LIED if lie else view.code if buried else record.code,
        final=record.status in _WORDS,
        attested=True,
        evidence="EA" if lie else view.evidence or "EA",
        ticket=record.ticket,
        volume=record.volume,
        price=record.price,
        close_price=record.price if record.op == Op.CLOSE else view.close_price,
        sl=record.sl,
        tp=record.tp,
        children=children,
    )
    if any(child.status not in _WORDS for child in children):
        told = replace(told, status=Status.UNKNOWN, final=False, attested=False)
    return Judged(told, lie)


def _lie_without(view: OrderView, word: _Word | None) -> str:
    if word is not None:
        return ""  # well-formed, about this order, of a kid whose key is not ours
    if view.ea:
        return "shows a record that is forged or about another request"
    # A FLATTEN whose children are attested may wait for its parent's word. An operator's word is
    # said to be one, and ends nothing here.
    waits = view.op == Op.FLATTEN or view.evidence == "HUMAN"
    if waits or view.status not in _WORDS or view.status == Status.DENIED:
        return ""
    return f"says {view.status} without the EA's record"


def _contradiction(view: OrderView, record: EaRecord) -> str:
    if view.status in _WORDS and view.status != record.status:
        return f"says {view.status}, the EA's record {record.status}"
    closes = record.op == Op.CLOSE and dec(view.close_price)
    shown = (
        ("ticket", str(view.ticket), str(record.ticket)),
        ("volume", view.volume, record.volume),
        ("price", view.close_price if closes else view.price, record.price),
    )
    for name, said, attested in shown:
        if dec(said) and dec(attested) and dec(said) != dec(attested):
            return f"says {name} {said}, the EA's record {attested}"
    return ""


def _unattested(view: OrderView, word: _Word | None, lie: str) -> OrderView:
    view = replace(view, attested=False, evidence="UNVERIFIED" if word else view.evidence)
    if view.status == Status.DENIED or view.status not in _WORDS:
        return view
    code = ReasonCode.SERVER_LIED if lie else ReasonCode.EA_UNATTESTED
    return replace(view, status=Status.UNKNOWN, code=code, final=False)


def _children(view: OrderView, subject: Subject) -> tuple[list[Child], str]:
    lie, children = "", []
    for child in view.children:
        judged, wrong = _child(child, subject)
        children.append(judged)
        lie = lie or (wrong and f"of ticket {child.ticket} {wrong}")
    return children, lie


def _child(child: Child, subject: Subject) -> tuple[Child, str]:
    rid = child_rid(subject.rid, child.ticket)
    about = Subject(subject.acct, rid, child.op, subject.order_hash, subject.keys)
    word = record_of(about, child.ea, child.ea_mac)
    if word is not None and word.verified:
        record = word.record
        differs = child.status in _WORDS and child.status != record.status
        lie = f"says {child.status}, the EA's record {record.status}" if differs else ""
        return replace(child, rid=rid, status=record.status, code=record.code), lie
    lie = _lie_without(OrderView(rid=rid, status=child.status, ea=child.ea), word)
    if child.status == Status.DENIED or child.status not in _WORDS:
        return child, lie
    code = ReasonCode.SERVER_LIED if lie else ReasonCode.EA_UNATTESTED
    return replace(child, status=Status.UNKNOWN, code=code), lie
