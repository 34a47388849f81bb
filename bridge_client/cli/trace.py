"""`ztb trace ORDER`: one order's life through connector, server, executor and broker.

Each step names its evidence: the connector's own journal, a record of the server's hash chain, the
server's view, or the broker's market time. Times are those of the machine that wrote them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from bridge_client.cli.asking import find_order, records_of
from bridge_client.cli.exits import NO_ANSWER, UsageError, exit_of_outcome
from bridge_client.cli.journals import LocalOrder, local_orders
from bridge_client.cli.output import Answer, moment
from bridge_client.cli.places import place_of, querying
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import TransportError

if TYPE_CHECKING:
    from bridge_client.cli.asking import NumberedRecord
    from bridge_client.cli.main import Context
    from bridge_core.protocol.replies import OrderView

__all__ = ["Step", "run", "steps_of"]

_HOPS: Final = ("connector", "server", "executor", "broker")


class Step(NamedTuple):
    """One thing that happened: when (UTC ms), at which hop, what, and how we know."""

    time: int
    hop: str
    what: str
    evidence: str


def _local_steps(row: LocalOrder) -> list[Step]:
    where = f"journal of {row.client}"
    steps = [
        Step(row.iat, "connector", f"signed {row.op}, dead at {moment(row.deadline_ms)}", where),
        Step(row.sent_ms, "connector", "written down, then sent", where),
    ]
    if row.over and row.ended_ms:
        steps.append(Step(row.ended_ms, "connector", f"knows: {_outcome(row.view)}", where))
    return steps


def _outcome(view: OrderView) -> str:
    code = "" if view.code in ("", ReasonCode.NONE) else f" {view.code}"
    return f"{view.status}{code}{f' by {view.by}' if view.by else ''}"


def _record_step(found: NumberedRecord) -> Step:
    record = found.record
    what = " ".join(part for part in (record.kind, record.op, record.state, record.code) if part)
    data = " ".join(f"{k}={v}" for k, v in record.data.items() if k != "req_hash")
    hop = "executor" if record.state == "DISPATCHING" else "server"
    return Step(record.ts, hop, f"{what} {data}".rstrip(), f"record {found.n}")


def _broker_steps(view: OrderView) -> list[Step]:
    if not view.execution_time:
        return []
    price = view.close_price if view.op == "CLOSE" else view.price
    what = " ".join(
        part
        for part in (
            f"{view.type} {view.volume} {view.symbol}".strip(),
            f"at {price}" if price != "0" else "",
            f"ticket={view.ticket}" if view.ticket else "",
            f"deal={view.deal}" if view.deal else "",
        )
        if part
    )
    evidence = f"{view.evidence or 'server'}, market time"
    return [Step(view.execution_time, "broker", what, evidence)]


def steps_of(
    local: list[LocalOrder], view: OrderView | None, records: list[NumberedRecord]
) -> list[Step]:
    """Return the steps in order of time; at the same instant the nearer hop comes first."""
    steps = [step for row in local for step in _local_steps(row)]
    steps += [_record_step(found) for found in records]
    if view is not None:
        steps += _broker_steps(view)
        if not records and view.accepted_at:
            steps.append(Step(view.accepted_at, "server", "accepted", "server's view"))
    return sorted(steps, key=lambda step: (step.time, _HOPS.index(step.hop)))


def run(ctx: Context) -> Answer:
    """Gather what each hop knows and lay it out."""
    order = ctx.args.order
    place = place_of(ctx.args)
    local = local_orders(place.state, order)
    rid = local[0].rid if local else order
    view: OrderView | None = None
    records: list[NumberedRecord] = []
    away: TransportError | None = None
    try:
        with querying(ctx, place) as bridge:
            view = find_order(bridge, rid)
            seen = view.code != ReasonCode.NOT_SEEN
            records = records_of(bridge, view.rid, view.accepted_at) if seen else []
    except TransportError as error:
        away = error
        ctx.out.warn(f"the server's part is missing: {error}")
    if not local and (view is None or view.code == ReasonCode.NOT_SEEN):
        if away is not None:
            raise away
        raise UsageError(
            f"neither this machine nor the server knows an order {order!r}: `ztb history` and "
            "`ztb audit show` list what happened",
            "NO_ORDER",
        )
    return _tell(ctx, local, view, records)


def _tell(
    ctx: Context, local: list[LocalOrder], view: OrderView | None, records: list[NumberedRecord]
) -> Answer:
    known = view if view is not None else local[0].view
    out = ctx.out
    out.fields(
        [
            ("order", known.client_order_id),
            ("rid", known.rid),
            ("asked", f"{known.op} {known.type} {known.symbol}".strip()),
            ("outcome", _outcome(known)),
            ("evidence", known.evidence),
            ("life", known.life),
        ]
    )
    steps = steps_of(local, view, records)
    out.table(
        ("TIME", "HOP", "WHAT", "EVIDENCE"),
        [(moment(step.time), step.hop, step.what, step.evidence) for step in steps],
    )
    data = {
        "order": msgspec.to_builtins(known),
        "steps": [step._asdict() for step in steps],
        "server_answered": view is not None,
    }
    if view is None:
        return Answer(NO_ANSWER, data)
    status = Status.UNKNOWN if view.code == ReasonCode.NOT_SEEN else view.status
    return Answer(exit_of_outcome(status, view.code, view.by), data)
