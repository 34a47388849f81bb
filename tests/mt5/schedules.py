"""Schedules of faults for the MetaTrader 5 backend, and what becomes of their orders.

A schedule is a broker, an account with one position and one pending order of ours, and a few
signed orders, each with whatever goes wrong while it is at the broker. An order whose outcome is
lost is judged from scans as the server does it (`settlement`): two complete scans `settle_ms`
apart that show nothing mean ABSENT, whatever is found before that ends it.

Times are the sliding clock's; nothing waits for real, but for an execution that comes later.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

from hypothesis import strategies as st

from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.messages import Request
from bridge_server.backends.mt5 import Patience
from bridge_server.core.ports import Executed, Lost, NotBegun, Outcome, Rejected, Submission
from bridge_server.core.reconcile import Finding, Suspect, absent, doubles, find
from tests.support.fake_metatrader5 import ACCEPTED, ANSWERED, BEFORE, EXECUTED
from tests.support.fake_metatrader5.broker import SymbolTerms, Terms
from tests.support.fake_metatrader5.faults import Kind
from tests.support.mt5_world import Mt5World, mt5_world
from tests.support.paper import cancel, close, modify, open_order

__all__ = ["Fault", "Played", "Schedule", "Step", "play", "schedules"]

SETTLE_MS: Final = 400
SYNC_MS: Final = 200
_TICK_MS: Final = 100
_LATE_MS: Final = 1_000  # later than settle: then something else must show that it is coming
_SCANS_MAX: Final = 40
_PATIENCE: Final = Patience(settle_ms=SETTLE_MS, confirm_ms=4, sync_ms=SYNC_MS)


@dataclass(frozen=True)
class Fault:
    """One fault in the call of one function."""

    name: str
    point: str
    kind: str
    how: tuple[tuple[str, Any], ...] = ()
    died: bool = False  # for the server: the worker died in the call


@dataclass(frozen=True)
class Step:
    """One signed order, what the broker plans for it, what goes wrong, what comes after."""

    order: str
    plan: tuple[Any, ...] = ()
    faults: tuple[Fault, ...] = ()
    link_down: bool = False
    history_ms: int = 0
    calm_at: int = 1  # so many scans later the link is back and what was to come has come


@dataclass(frozen=True)
class Schedule:
    """A broker's habits and the orders."""

    margin_mode: str
    habits: tuple[tuple[str, Any], ...]
    delays: tuple[int, int]
    fills: int
    steps: tuple[Step, ...]


@dataclass
class Played:
    """What became of one signed order; `judged` by scans, or answered at once."""

    submission: Submission
    outcome: Outcome
    judged: bool
    doubled: tuple[int, ...] = ()
    scans: int = field(default=0)


# --- what can go wrong -------------------------------------------------------------------------

# What a terminal can say and mean "nobody knows"; before it has the request, also the others.
_UNSURE: Final[tuple[int, ...]] = (-1, -3, -10000, -10002)
_NOT_SENT: Final = (-10001, -10004)
_UNSURE_RETCODES: Final = (10011, 10012, 10023, 10028, 10031, 10039, 10005, 12345)
_THEN: Final = ("fill", "reject", "cancel")
_BREAKS: Final = ("kill_terminal", "none", "out_of_step")
_REFUSALS: Final = (10004, 10006, 10013, 10016, 10018, 10019, 10024, 10030)


def _how(**words: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(words.items())


def _losses(point: str) -> st.SearchStrategy[Fault]:
    """Return how the answer of `order_send` is lost at a point."""
    executes: st.SearchStrategy[tuple[tuple[str, Any], ...]] = st.just(())
    codes = _UNSURE
    if point == ACCEPTED:
        executes = st.sampled_from(
            [_how(execute="now"), _how(execute="later", after_s=0.002), _how(execute="never")]
        )
    if point == BEFORE:
        codes += _NOT_SENT
    errors = st.tuples(st.just("error"), st.sampled_from(codes), executes, st.just(False))
    deaths = st.tuples(st.just("error"), st.just(-10002), executes, st.just(True))
    others = st.tuples(st.sampled_from(_BREAKS), st.none(), executes, st.just(False))
    retcodes = st.tuples(
        st.just("retcode"), st.sampled_from(_UNSURE_RETCODES), executes, st.just(False)
    )
    return st.one_of(errors, deaths, others, retcodes).map(lambda one: _sending(point, *one))


def _sending(
    point: str, kind: str, code: int | None, how: tuple[tuple[str, Any], ...], died: bool
) -> Fault:
    how = (*how, ("code", code)) if code is not None else how
    return Fault("order_send", point, kind, how, died)


_POINTS: Final = (BEFORE, ACCEPTED, EXECUTED, ANSWERED)
_SENDING: Final = st.sampled_from(_POINTS).flatmap(_losses)
_READING: Final = st.builds(
    lambda name, point, found, skip: Fault(name, point, found[0], (*found[1], ("skip", skip))),
    st.sampled_from(
        ["positions_get", "orders_get", "history_deals_get", "history_orders_get", "account_info",
         "terminal_info", "symbol_info_tick", "order_check", "history_deals_total"]
    ),
    st.sampled_from(_POINTS),
    st.sampled_from(
        [("error", _how(code=-1)), ("error", _how(code=-10001)), ("error", _how(code=-10002)),
         ("none", ()), ("kill_terminal", ()), ("out_of_step", ())]
    ),
    st.integers(0, 3),
)  # fmt: skip
_PLANS: Final = st.one_of(
    st.just(()),
    st.builds(lambda code: ("fail", code, False), st.sampled_from(_REFUSALS)),
    st.builds(lambda code, done: ("fail", code, done),
              st.sampled_from(_UNSURE_RETCODES), st.booleans()),
    st.builds(lambda parts, gap: ("fill", parts, gap),
              st.sampled_from([("0.04",), ("0.04", "0.06"), ("0.02", "0.03"), ("0.03", "0.03")]),
              st.sampled_from([0, 30, 120])),
    st.builds(lambda then, after: ("place", then, after), st.sampled_from(_THEN),
              st.sampled_from([0, 30, 120, _LATE_MS])),
    st.just(("jump",)),
)  # fmt: skip
_ORDERS: Final = (
    "buy", "buy stops", "sell", "limit", "close", "close part", "modify", "cancel", "move",
)  # fmt: skip
_STEPS: Final = st.builds(
    Step,
    order=st.sampled_from(_ORDERS),
    plan=_PLANS,
    faults=st.lists(st.one_of(_SENDING, _SENDING, _READING), max_size=3).map(tuple),
    link_down=st.sampled_from([False, False, False, True]),
    history_ms=st.sampled_from([0, 0, 60, SYNC_MS - 60]),
    calm_at=st.sampled_from([1, 3, 3, 8]),
)
_HABITS: Final = st.fixed_dictionaries(
    {
        "answer_deal": st.booleans(),
        "comment_chars": st.sampled_from([31, 16]),
        "comment_replaced": st.sampled_from([None, None, "broker's own"]),
        "rest_state": st.sampled_from([2, 3, 4]),
        "netting_magic": st.sampled_from(["first", "last"]),
        "netting_by_ticket": st.booleans(),
        "close_tagged": st.booleans(),
    }
).map(lambda found: tuple(found.items()))
# When deals and positions are shown, and when ended orders: (ms, ms). Both later than `settle`
# would be a broker of whom absence proves nothing.
_DELAYS: Final = (
    (0, 0),
    (40, 0),
    (0, 40),
    (150, 150),
    (_LATE_MS, 0),
    (0, _LATE_MS),
    (150, _LATE_MS),
)
# What leaves nothing but a changed picture, and what does instead while the picture comes late.
_INSTEAD: Final = {"limit": "buy", "modify": "close part", "move": "sell", "cancel": "close"}


def schedules() -> st.SearchStrategy[Schedule]:
    """Return any schedule."""
    return st.builds(
        Schedule,
        margin_mode=st.sampled_from(["hedging", "netting"]),
        habits=_HABITS,
        delays=st.sampled_from(_DELAYS),
        fills=st.sampled_from([1, 2, 3]),
        steps=st.lists(_STEPS, min_size=1, max_size=3).map(tuple),
    )


# --- playing one -------------------------------------------------------------------------------


def play(schedule: Schedule) -> tuple[list[Played], list[dict[str, Any]], frozenset[int]]:
    """Play a schedule; return what was reported, the broker's ledger, and what is active.

    S1, S2, S3 and S5 are judged on the ledger at the end.
    """
    symbol = SymbolTerms(selected=True, streaming=True, filling_mode=schedule.fills)
    terms = Terms(margin_mode=schedule.margin_mode, symbols=(symbol,))
    with (
        tempfile.TemporaryDirectory() as folder,
        mt5_world(Path(folder), terms, patience=_PATIENCE, near=True) as world,
    ):
        player = _Player(world)
        for name, value in schedule.habits:
            setattr(terms, name, value)
        terms.deal_visible_after_ms, terms.history_visible_after_ms = schedule.delays
        played = [player.run(_fit(step, schedule)) for step in schedule.steps]
        active = {int(row["ticket"]) for row in world.broker.orders()}
        return played, world.broker.lines(), frozenset(active)
    raise AssertionError


def _fit(step: Step, schedule: Schedule) -> Step:
    """Leave out what such a broker could not show within `settle` by anything at all."""
    if schedule.delays[0] < SETTLE_MS:
        return step
    plan = () if step.plan[:1] == ("place",) else step.plan
    return replace(step, order=_INSTEAD.get(step.order, step.order), plan=plan)


class _Player:
    def __init__(self, world: Mt5World) -> None:
        self.world = world
        self._sync()
        opened = world.do(open_order(volume="0.10"))
        rested = world.do(open_order("BUY_LIMIT", price="1.07000"))
        assert isinstance(opened, Executed), opened
        assert isinstance(rested, Executed), rested
        self.ticket, self.resting = opened.facts.ticket, rested.facts.ticket

    def _sync(self) -> None:
        world = self.world
        for _ in range(2):
            world.clock.advance(SYNC_MS)
            world.backend.pump()

    def _body(self, order: str) -> Request:
        sl, tp = self._stops()
        match order:
            case "buy":
                return open_order()
            case "buy stops":
                return open_order(sl="1.05000", tp="1.15000")
            case "sell":
                return open_order("SELL")
            case "limit":
                return open_order("SELL_LIMIT", price="1.12000")
            case "close":
                return close(self.ticket)
            case "close part":
                return close(self.ticket, "0.04")
            case "modify":
                return modify(self.ticket, sl="1.06000", old_sl=str(sl), old_tp=str(tp))
            case "move":
                return modify(self.resting, price="1.06500", sl="1.05500")
            case _:
                return cancel(self.resting)

    def _stops(self) -> tuple[Decimal, Decimal]:
        held = self.world.backend.snapshot().positions.get(self.ticket)
        return (held.sl, held.tp) if held is not None else (Decimal(0), Decimal(0))

    def run(self, step: Step) -> Played:
        world = self.world
        self._sync()
        if step.link_down:
            self._cut_when_taken()
        self._plan(step)
        submission = world.submission(self._body(step.order), ttl_ms=10_000)
        since = world.clock.wall_ms()
        outcome = world.backend.execute(submission)
        for fault in step.faults:
            if fault.name == "order_send":
                world.terminal.faults.calm()
        if isinstance(outcome, Lost):
            played = self._judge(submission, since, step)
        else:
            self._calm(step)
            played = Played(submission, outcome, judged=False)
        world.mt5.link.die_in_trade = False  # type: ignore[attr-defined]
        self._settle_down()
        return played

    def _plan(self, step: Step) -> None:
        world = self.world
        match step.plan:
            case ("fail", code, executed):
                world.broker.fail_next(code, executed=executed)
            case ("fill", parts, gap):
                world.broker.fill_next(*parts, gap_ms=gap)
            case ("place", then, after):
                world.broker.place_next(then, after)
            case ("jump",):
                world.broker.jump_next("1.08600", "1.08612")
        for fault in step.faults:
            kind = cast("Kind", fault.kind)
            world.terminal.faults.script(fault.name, fault.point, kind, **dict(fault.how))
            world.mt5.link.die_in_trade |= fault.died  # type: ignore[attr-defined]

    def _cut_when_taken(self) -> None:
        """Let the link break when the broker has the request: what it does then stays unseen."""

        def cut(_args: dict[str, Any]) -> bool:
            self.world.broker.link(False)
            return False

        self.world.terminal.faults.script("order_send", ACCEPTED, "delay", when=cut)

    def _calm(self, step: Step) -> None:
        world = self.world
        world.terminal.faults.calm()
        self._arrive()
        if step.link_down:
            world.broker.link(True, history_after_ms=step.history_ms)

    def _arrive(self) -> None:
        """Let the broker do what it does later: its timers know nothing of the sliding clock."""
        for timer in self.world.terminal.later:
            timer.join()

    def _settle_down(self) -> None:
        """Let everything that was on its way at the broker arrive."""
        self.world.clock.advance(_LATE_MS + SETTLE_MS)
        self.world.backend.pump()

    def _judge(self, submission: Submission, since: int, step: Step) -> Played:
        """Find out what became of it, as `settlement` does."""
        world, clock = self.world, self.world.clock
        suspect = Suspect(
            rid=submission.rid, tag=submission.tag, magic=submission.magic, body=submission.body
        )
        absent_since = 0
        for n in range(1, _SCANS_MAX + 1):
            if n == step.calm_at:
                self._calm(step)
            if n > 1:
                self._arrive()
            clock.advance(_TICK_MS)
            world.backend.pump()
            try:
                scan = world.backend.scan(since - 60_000)
            except BridgeError:
                continue
            twice = doubles(suspect, scan)
            if twice:
                lost = Lost(cause="two orders with one tag")
                return Played(submission, lost, judged=True, doubled=twice, scans=n)
            found = find(suspect, scan)
            if isinstance(found, Finding):
                return Played(submission, found.outcome, judged=True, scans=n)
            if not found.counts:
                absent_since = 0
                continue
            absent_since = absent_since or clock.mono_ms()
            if clock.mono_ms() - absent_since >= SETTLE_MS:
                return Played(submission, absent().outcome, judged=True, scans=n)
        return Played(submission, Lost(cause="never found out"), judged=True, scans=_SCANS_MAX)


def not_executed(outcome: Outcome) -> bool:
    """Return whether an order is reported as not executed."""
    return isinstance(outcome, NotBegun | Rejected)
