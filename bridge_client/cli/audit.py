"""`ztb audit`: the server's hash-chained record, shown, recomputed, and accepted after a fork."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bridge_client.cli.asking import log_size, read_records, walk
from bridge_client.cli.confirm import confirm
from bridge_client.cli.exits import Exit, UsageError
from bridge_client.cli.journals import Remembered, clients_of, remembered
from bridge_client.cli.output import Answer, moment
from bridge_client.cli.places import place_of, querying
from bridge_client.cli.proof import order, verify_file
from bridge_client.cli.stopping import operator_place, show_state
from bridge_client.connector import Connector
from bridge_core.protocol.codes import Status

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_core.protocol.chain import Head

__all__ = ["accept", "show", "verdict", "verify"]


def show(ctx: Context) -> Answer:
    """Print records of the server's log, oldest first; with an ORDER that order's story."""
    if ctx.args.order:
        return order(ctx)
    if ctx.args.proof or ctx.args.out or ctx.args.offline or ctx.args.ledger:
        raise UsageError("--proof, --out, --ledger and --offline are about one order: name ORDER")
    count = ctx.args.count
    with querying(ctx) as bridge:
        first = ctx.args.first or max(1, log_size(bridge) - count + 1)
        rows = read_records(bridge, first, count)
    ctx.out.table(
        ("N", "TIME", "KIND", "OP", "STATE", "CODE", "RID", "DATA"),
        [
            (
                row.n,
                moment(row.record.ts),
                row.record.kind,
                row.record.op,
                row.record.state,
                row.record.code,
                row.record.rid,
                " ".join(f"{k}={v}" for k, v in row.record.data.items()),
            )
            for row in rows
        ],
    )
    return Answer(0, {"records": [{"n": row.n, "record": row.record} for row in rows]})


def verdict(bridge: Connector, memories: list[Remembered]) -> tuple[Head, list[str]]:
    """Recompute the whole record; return its head and one sentence for each thing that is wrong."""
    wanted = {pair.size: pair.hash for memory in memories for pair in memory.pairs if pair.size}
    wrong: list[str] = []
    result = walk(bridge, wanted)
    if result.fault:
        wrong.append(result.fault)
    for size, digest in sorted(wanted.items()):
        found = result.hashes.get(size)
        if size > result.head.size and not result.fault:
            wrong.append(
                f"{size} records were seen earlier, now there are {result.head.size}: history "
                "was cut"
            )
        elif found is not None and found != digest:
            wrong.append(f"record {size} is not the one that was seen earlier: history was changed")
    for memory in memories:
        wrong += [f"{memory.client}: {name}, {why}" for name, why in memory.latches.items()]
    return result.head, wrong


def verify(ctx: Context) -> Answer:
    """Pull the record, recompute the chain, compare with every remembered head; or check FILE."""
    if ctx.args.file:
        return verify_file(ctx)
    if ctx.args.keys:
        raise UsageError("--keys checks a proof: name its FILE; for the record use --config")
    place = place_of(ctx.args)
    memories = remembered(place.state)
    with querying(ctx, place) as bridge:
        head, wrong = verdict(bridge, memories)
    pairs = sum(len(memory.pairs) for memory in memories)
    out = ctx.out
    for sentence in wrong:
        out.line(f"fail  {sentence}")
    if not wrong:
        out.line(f"ok    {head.size} records chain; {pairs} remembered heads agree")
        if not pairs:
            out.say("no head was remembered on this machine yet: this proves only the chain")
    else:
        out.say("find out why; then `ztb audit accept --operator DIR --reason TEXT`")
    data = {
        "records": head.size,
        "head": head.hash.hex(),
        "remembered": pairs,
        "wrong": wrong,
    }
    return Answer(Exit.REJECTED if wrong else Exit.OK, data)


def accept(ctx: Context) -> Answer:
    """Accept the server's record as it is now; both heads stay on file."""
    args = ctx.args
    place = place_of(args)
    operator = operator_place(args.operator)
    what = f"accept the server's record as it is now, for every client of {place.path}"
    confirm(ctx, operator, what, alias=True)
    with ExitStack() as stack:
        # Every client's journal first: a strategy that still runs keeps its own and is named.
        clients = [
            stack.enter_context(Connector.from_config(place.path, client=name, heartbeat=False))
            for name in clients_of(place.state)
        ]
        for client in clients:
            client.connect()
        bridge = stack.enter_context(querying(ctx, operator))
        result = bridge.resume("LOG_FORK", args.reason)
        if result.status == Status.DONE:
            for client in clients:
                client.accept_log()
    return show_state(ctx, result)
