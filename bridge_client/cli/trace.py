"""`ztb trace ORDER`: one order's life through connector, server, executor and broker.

Each step names its evidence: the connector's own journal, a record of the server's hash chain, the
server's view, or the broker's market time. Times are those of the machine that wrote them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from bridge_client.cli.asking import records_of
from bridge_client.cli.exits import NO_ANSWER, exit_of_outcome
from bridge_client.cli.journals import LocalOrder, local_orders
from bridge_client.cli.knowing import unknown_order
from bridge_client.cli.output import Answer, moment
from bridge_client.cli.places import place_of, querying
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import TransportError
from bridge_core.protocol.token import parse_ea_record

if TYPE_CHECKING:
    from bridge_client.cli.asking import NumberedRecord
    from bridge_client.cli.main import Context
    from bridge_core.protocol.replies import OrderView

__all__ = ["Step", "outcome_of", "run", "steps_of", "word_of"]

_EA_WORD: Final = "EA"


class Step(NamedTuple):
    """One thing that happened: when (UTC ms), at which hop, what, and how we know.

    A broker's time is market time, which no other clock is compared with; `order` (UTC ms) places
    it among the others.
    """

    time: int
    hop: str
    what: str
    evidence: str
    order: int


def _step(time: int, hop: str, what: str, evidence: str) -> Step:
    return Step(time, hop, what, evidence, time)


def _local_steps(row: LocalOrder) -> list[Step]:
    where = f"journal of {row.client}"
    steps = []
    if row.iat:  # an order adopted from the server after a lost disk has none
        dead = f"signed {row.op}, dead at {moment(row.deadline_ms)}"
        steps.append(_step(row.iat, "connector", dead, where))
    steps.append(_step(row.sent_ms, "connector", "written down, then sent", where))
    if row.over and row.ended_ms:
        steps.append(_step(row.ended_ms, "connector", f"knows: {outcome_of(row.view)}", where))
    return steps


def outcome_of(view: OrderView) -> str:
    """Return an order's outcome in one line: status, code, who said so."""
    code = "" if view.code in ("", ReasonCode.NONE) else f" {view.code}"
    return f"{view.status}{code}{f' by {view.by}' if view.by else ''}"


_STATES: Final = {
    "ACCEPTED": ("server", "verified, judged, accepted"),
    "DISPATCHING": ("executor", "intent durable, handed to the executor"),
    "UNKNOWN": ("executor", "no certain answer: UNKNOWN"),
}


def _record_step(found: NumberedRecord) -> Step:
    record = found.record
    if record.kind == _EA_WORD:  # of an order that the server had denied by itself
        told = " ".join(("the EA's word arrived:", *map(str, record.data.values())))
        return _step(record.ts, "server", told, f"record {found.n}")
    hop, what = _STATES.get(record.state, ("server", f"{record.kind} {record.state}".strip()))
    if record.data.get("by") == "server" and "children" in record.data:
        hop, what = "server", "its own act, nobody signed it: intents durable"
    data = " ".join(f"{k}={v}" for k, v in record.data.items() if k != "req_hash")
    told = " ".join(part for part in (what, record.code, data) if part)
    return _step(record.ts, hop, told, f"record {found.n}")


def word_of(view: OrderView, *, attests: bool) -> str:
    """Return how far the EA's record vouches for an order; "" on an account without an EA.

    verified: its MAC holds under our key and it decides; unverified: it is there and this key set
    cannot check it; unattested: there is none about this order.
    """
    if not attests:
        return ""
    if view.attested and (view.ea or view.children):
        return "verified"
    return "unverified" if view.evidence == "UNVERIFIED" else "unattested"


def _ea_steps(view: OrderView, word: str) -> list[Step]:
    """Return what the EA says it did, at its own wall clock, with each child of a FLATTEN."""
    steps = []
    for text in (view.ea, *(child.ea for child in view.children)):
        record = parse_ea_record(text.encode("ascii", "replace")) if text else None
        if record is None:
            continue
        parts = (
            f"attests {record.op} {record.status}",
            "" if record.code in ("", "-", ReasonCode.NONE) else record.code,
            f"ticket={record.ticket}" if record.ticket else "",
            f"volume={record.volume}" if record.volume != "0" else "",
            f"price={record.price}" if record.price != "0" else "",
            f"key {record.kid}",
        )
        told = " ".join(part for part in parts if part)
        steps.append(_step(record.time, "EA", told, f"EA's record, {word or 'unverified'}"))
    return steps


def _broker_steps(view: OrderView) -> list[Step]:
    if not view.execution_time:
        return []
    price = view.close_price if view.op == "CLOSE" else view.price
    parts = (
        f"{view.type} {view.volume} {view.symbol}".strip(),
        f"at {price}" if price != "0" else "",
        f"ticket={view.ticket}" if view.ticket else "",
        f"deal={view.deal}" if view.deal else "",
    )
    what = " ".join(part for part in parts if part)
    evidence = f"{view.evidence or 'server'}, market time"
    return [Step(view.execution_time, "broker", what, evidence, view.ended_at or view.time)]


def steps_of(
    local: list[LocalOrder],
    view: OrderView | None,
    records: list[NumberedRecord],
    word: str = "",
) -> list[Step]:
    """Return the steps in order of time; within a millisecond, in the order an order travels.

    `word` is what `word_of` says of the EA's record.
    """
    mine = [step for row in local for step in _local_steps(row)]
    known = [step for step in mine if step.what.startswith("knows")]
    steps = [step for step in mine if step not in known]
    if (
        view is not None
        and view.accepted_at
        and not any(found.record.state == "ACCEPTED" for found in records)
    ):
        # Accepted and dispatched may be one commit, and so one record.
        steps.append(_step(view.accepted_at, "server", _STATES["ACCEPTED"][1], "server's view"))
    begun = [found for found in records if found.record.state in _STATES]
    steps += [_record_step(found) for found in begun]
    steps += [*_broker_steps(view), *_ea_steps(view, word)] if view is not None else []
    steps += [_record_step(found) for found in records if found not in begun]
    steps += known
    return sorted(steps, key=lambda step: step.order)


def run(ctx: Context) -> Answer:
    """Gather what each hop knows and lay it out."""
    order = ctx.args.order
    place = place_of(ctx.args)
    local = local_orders(place.state, order)
    rid = local[0].rid if local else order
    view: OrderView | None = None
    records: list[NumberedRecord] = []
    word = ""
    away: TransportError | None = None
    try:
        with querying(ctx, place) as bridge:
            view = bridge.find_order(rid)
            word = word_of(view, attests=bridge.attests)
            seen = view.code != ReasonCode.NOT_SEEN
            records = records_of(bridge, view.rid, view.accepted_at) if seen else []
    except TransportError as error:
        away = error
        ctx.out.warn(f"the server's part is missing: {error}")
    if not local and (view is None or view.code == ReasonCode.NOT_SEEN):
        if away is not None:
            raise away
        raise unknown_order(order)
    return _tell(ctx, local, view, steps_of(local, view, records, word), word)


def _tell(
    ctx: Context, local: list[LocalOrder], view: OrderView | None, steps: list[Step], word: str
) -> Answer:
    known = view if view is not None else local[0].view
    out = ctx.out
    out.fields(
        [
            ("order", known.client_order_id),
            ("rid", known.rid),
            ("asked", f"{known.op} {known.type} {known.symbol}".strip()),
            ("outcome", outcome_of(known)),
            ("evidence", known.evidence),
            ("the EA's record", word),
            ("life", known.life),
        ]
    )
    out.table(
        ("TIME", "HOP", "WHAT", "EVIDENCE"),
        [(moment(step.time), step.hop, step.what, step.evidence) for step in steps],
    )
    data = {
        "order": msgspec.to_builtins(known),
        "steps": [step._asdict() for step in steps],
        "server_answered": view is not None,
        "ea_record": word,
    }
    if view is None:
        return Answer(NO_ANSWER, data)
    status = Status.UNKNOWN if view.code == ReasonCode.NOT_SEEN else view.status
    return Answer(exit_of_outcome(status, view.code, view.by), data)
