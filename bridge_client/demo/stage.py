"""The demo from start to end: prices, account, server, strategy, acts, judgement, report."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from msgspec import structs

from bridge_client.cli.exits import Exit
from bridge_client.cli.output import Answer, Console
from bridge_client.connector import Connector
from bridge_client.demo import moving_average
from bridge_client.demo.acts import ACTS, Act, Actor, plan
from bridge_client.demo.house import ACCOUNT, CLIENT, House
from bridge_client.demo.options import DemoOptions
from bridge_client.demo.prices import SYMBOL, Tape, ecb_tape, file_tape
from bridge_client.demo.recheck import check_record
from bridge_client.demo.report import Latency, Money, OrderLine, Report, latency_of, show
from bridge_client.demo.screen import Progress
from bridge_client.demo.watching import Noted, Pacer, Watched
from bridge_client.evidence import SignedRow, judge_all, signed_rows
from bridge_client.rawwire import FloorSizes, floor_round_trips
from bridge_client.result import OrderResult
from bridge_client.views import Account, Deal
from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import BridgeError

__all__ = ["play"]

_START_S: Final = 20.0
_FLOOR_COUNT: Final = 300
_REPLY_TOKEN_BYTES: Final = 400  # RISK_ACK with all its parts
_LEAST_ROWS: Final = 40


def play(options: DemoOptions, out: Console) -> Answer:
    """Run the demo and say how it went; exit 0 only if every promise held.

    Raises:
        ConfigError: the prices, or `ztb init`.
        BridgeError: the server ended, or a price did not arrive.
    """
    tape = _tape(options)
    folder = Path(tempfile.mkdtemp(prefix="ztb-demo-"))
    keep = options.keep
    try:
        report = _Run(options, tape, folder, out).report()
        show(out, report)
        keep = keep or bool(report.broken)
    except BridgeError:
        keep = True
        journals = f"{CLIENT}.db", "journal.db"
        out.warn(f"seed {options.seed}; both journals are kept:")
        for side, name in zip(("connector", "server"), journals, strict=True):
            out.warn(f"  {folder / ACCOUNT / side / 'state' / name}")
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if options.keep:
        out.say(f"kept {folder}")
    held = not report.broken
    facts = {"held": held, "broken": report.broken, **structs.asdict(report)}
    return Answer(Exit.OK if held else Exit.REJECTED, facts)


def _tape(options: DemoOptions) -> Tape:
    count = max(_LEAST_ROWS, options.fixings)
    return ecb_tape(count) if options.prices is None else file_tape(options.prices, count)


class _Run:
    """One run, step by step."""

    def __init__(self, options: DemoOptions, tape: Tape, folder: Path, out: Console) -> None:
        self._options = options
        self._tape = tape
        self._begun = time.monotonic()
        self._out = out
        out.say(f"ztb demo, seed {options.seed}: a paper account in {folder}")
        self._house = House(folder, tape, options.seed)
        self._progress = Progress(out, len(tape.rows))
        self._plan = plan(len(tape.rows), options.seed)

    def report(self) -> Report:
        """Trade, then judge."""
        house, options = self._house, self._options
        try:
            pid = house.start()
            self._out.say(f"ztb-server runs as pid {pid}: CURVE, HMAC, journal, paper broker")
            with Connector.from_config(house.connector_toml, client=CLIENT) as bridge:
                traded = self._trade(bridge)
            rows = signed_rows(house.connector_journal)
            floor = latency_of(floor_round_trips(_sizes(rows), _FLOOR_COUNT))
        finally:
            house.stop()
        watched, actor, pacer, money = traded
        return Report(
            seed=options.seed,
            prices=self._tape.said,
            caution=self._tape.caution,
            rows=pacer.prices,
            ticks=pacer.ticks,
            strategy=moving_average.__name__,
            story=[*_of_strategy(watched.noted), *actor.story],
            pids=actor.pids,
            money=money,
            orders_ms=_latency(watched.noted),
            floor_ms=floor,
            promises=judge_all(rows, house.ledger, ACCOUNT),
            record=check_record(house, options.seed),
            server_journal=str(house.server_journal),
            connector_journal=str(house.connector_journal),
            ledger=str(house.ledger),
            orders=[_line(each) for each in watched.noted],
            seconds=round(time.monotonic() - self._begun, 1),
        )

    def _trade(self, bridge: Connector) -> tuple[Watched, Actor, Pacer, Money]:
        bridge.connect(_START_S)
        before = bridge.get_account()
        watched = Watched(bridge, self._options.seed)
        actor = Actor(self._house, bridge, watched, self._options.seed)

        def between(row: int) -> bool:
            watched.row = row
            self._progress.at(row, len(watched.noted))
            actor.restarted = False
            for index in self._plan.get(row, ()):
                _, name, act = ACTS[index]
                self._progress.say(f"before price {row + 1}: {name}")
                act(actor)
            return actor.restarted

        pacer = Pacer(self._house, self._tape, self._options.rate, between)
        watched.pace_with(pacer)
        # It answers the same calls; what is not public is not there.
        moving_average.run(cast("Connector", watched), SYMBOL)
        self._progress.at(pacer.prices, len(watched.noted))
        ended = watched.flatten("the prices are over")
        self._progress.end()
        actor.story.append(_flattened(ended, watched.noted[-1]))
        return watched, actor, pacer, _money(before, bridge.get_account(), bridge.get_history())


# --- what is told ------------------------------------------------------------------------------


def _sizes(rows: list[SignedRow]) -> FloorSizes:
    """Return the sizes of a typical order of this run and of its reply."""
    opens = [row for row in rows if row.view.op == "OPEN"] or rows
    token, body = opens[len(opens) // 2].frames
    return FloorSizes((len(token), len(body)), (_REPLY_TOKEN_BYTES, len(body)))


def _latency(noted: list[Noted]) -> Latency:
    # What the connector refused itself made no round trip; the kill is a story of its own.
    return latency_of(
        [each.ms for each in noted if each.result.by != "connector" and "kill" not in
         each.client_order_id]
    )  # fmt: skip


def _line(each: Noted) -> OrderLine:
    told, exact = each.result, each.result.exact
    return OrderLine(
        id=each.client_order_id,
        row=each.row,
        op=told.op,
        type=told.type,
        volume=exact.get("volume", ""),
        price=exact.get("close_price" if told.op == "CLOSE" else "price", ""),
        sl=exact.get("sl", ""),
        tp=exact.get("tp", ""),
        status=str(told.status),
        code=told.code,
        by=told.by,
        profit=exact.get("profit", ""),
    )


def _of_strategy(noted: list[Noted]) -> Iterable[Act]:
    """Yield the strategy's orders that tell the story: the first of each kind that went through."""
    kinds: tuple[tuple[str, Callable[[OrderResult], bool]], ...] = (
        (
            "market, SL and TP",
            lambda told: told.op == "OPEN" and told.status is Status.FILLED and told.tp > 0,
        ),
        ("pending", lambda told: told.status is Status.WORKING),
        (
            "partial close",
            lambda told: told.status is Status.FILLED and told.remaining_volume > 0,
        ),
        ("modify the stop", lambda told: told.op == "MODIFY" and told.status is Status.DONE),
    )
    for name, fits in kinds:
        for each in noted:
            told = each.result
            if fits(told):
                yield Act(
                    order=name,
                    outcome=str(told.status),
                    by="broker",
                    ms=each.ms,
                    what=_what(told),
                    client_order_id=each.client_order_id,
                )
                break


def _what(told: OrderResult) -> str:
    exact = told.exact
    if told.op == "OPEN":
        at = exact["price"] if told.status is Status.FILLED else exact["requested_price"]
        return f"{told.type} {exact['requested_volume']} at {at} #{told.ticket}"
    if told.op == "CLOSE":
        return f"{exact['volume']} at {exact['close_price']}, {exact['remaining_volume']} stays"
    return f"sl {exact['sl']} tp {exact['tp']} of #{told.ticket}"


def _flattened(ended: OrderResult, noted: Noted) -> Act:
    done = sum(child.status in (Status.DONE, Status.FILLED) for child in ended.children)
    return Act(
        order="flatten at the end",
        outcome=str(ended.status),
        by="broker",
        ms=noted.ms,
        what=f"{done} of {len(ended.children)} left over ended",
        held=ended.status is Status.DONE,
        client_order_id=noted.client_order_id,
    )


def _money(before: Account, after: Account, deals: list[Deal]) -> Money:
    closings = [deal for deal in deals if deal.entry == "OUT"]
    start, end = Decimal(before.exact["balance"]), Decimal(after.exact["balance"])
    reasons: dict[str, int] = {}
    for deal in closings:
        reasons[deal.reason] = reasons.get(deal.reason, 0) + 1
    return Money(
        currency=after.currency,
        start=str(start),
        end=str(end),
        result=f"{end - start:+}",
        trades=len(closings),
        won=sum(deal.profit > 0 for deal in closings),
        by_reason=reasons,
    )
