"""What the account's day has brought: counted, kept over restarts, and its breaches latched.

One RiskState of the server's own. An entry counts in the transaction that accepts it, its end in
the one that ends it; what the broker's money does is written at most once a second. What closing
brought is read from the day's deals and not from the balance, so a deposit is no profit; until
those deals show a closing, what the position had lost when it was last seen is charged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from bridge_core.host.logs import log_event
from bridge_core.protocol import limits
from bridge_core.protocol.chain import Record
from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.messages import Open, decode_body
from bridge_core.protocol.replies import OrderView
from bridge_core.risk.order import Flying
from bridge_core.risk.state import RiskState, day_of
from bridge_server.admin import Admin
from bridge_server.context import Context
from bridge_server.core.ports import Deal, Position, Snapshot
from bridge_server.core.proposal import propose
from bridge_server.core.trading_state import Cause
from bridge_server.flight import Flight, Tally
from bridge_server.journal import OrderRow
from bridge_server.lifecycle import Lifecycle
from bridge_server.worker import HistoryJob

__all__ = ["Ask", "RiskKeeper"]

_META: Final = "risk"
_DAY_MS: Final = 86_400_000
_READ_MS: Final = 30_000
_AGAIN_MS: Final = 1_000
_KEEP_MS: Final = 1_000
# Four reads that failed: what closing has brought is not known any more.
_READ_AGE_MS_MAX: Final = 120_000
_SUBJECT: Final = "the day's deals"
_ENDED: Final = frozenset({Status.FILLED, Status.PARTIAL, Status.WORKING, Status.REJECTED,
                           Status.DENIED})  # fmt: skip
_CAUSES: Final = {one.value: one for one in (Cause.DAILY_LOSS, Cause.DRAWDOWN, Cause.BREAKER)}
_ZERO: Final = Decimal(0)

Ask = Callable[[HistoryJob, Callable[[tuple[Deal, ...] | None], None]], None]


class _Kept(Struct, frozen=True):
    """What the journal's meta table holds: `zone_ms` as it was last confirmed."""

    state: RiskState
    zone_ms: int | None = None


class _Gone(Struct, frozen=True):
    """A position, or part of one, that is no more and that no deal has told of yet.

    `loss` is its floating profit as last seen, 0 or below; `told` how many deals that leave the
    ticket had been read by then.
    """

    loss: Decimal
    told: int


class RiskKeeper(Tally):
    """Owned by the loop; `wire` says whom it asks for history, behind the orders."""

    def __init__(self, context: Context, orders: Lifecycle) -> None:
        self._c = context
        self._orders = orders
        self._ask: Ask | None = None
        kept = _load(context.journal.meta(_META))
        self.state = kept.state
        self.state.realised = None  # what happened while nobody looked is not known yet
        self._zone_ms = kept.zone_ms
        self._before: RiskState | None = None
        self._landing: dict[str, tuple[Flying, int, int]] = {}
        self._shown: dict[int, Position] = {}
        self._gone: dict[int, list[_Gone]] = {}
        self._told: Counter[int] = Counter()
        self._reading = False
        self._due_ms = 0
        self._read_ms = context.clock.mono_ms()
        self._dirty = False
        self._kept_ms = 0
        self._stale_mono: int | None = None

    def wire(self, admin: Admin, ask: Ask) -> None:
        """Take part in the orders' lives and in an operator's word."""
        self._ask = ask
        self._orders.tally = self
        admin.on_resumed = self.resumed

    def start(self) -> None:
        """Ask for the day's deals, once the account as the start has shown it is taken in."""
        self._read(self._c.clock.mono_ms())

    @property
    def known(self) -> RiskState | None:
        """Return the state, None while the broker's day is not known."""
        return self.state if self.state.day >= 0 and self._zone_ms is not None else None

    def landing(self) -> tuple[Flying, ...]:
        """Return entries that were carried out and that no picture has shown yet."""
        return tuple(flying for flying, _, _ in self._landing.values())

    # --- the account -------------------------------------------------------------------------

    def see(self, shot: Snapshot) -> None:
        """Take in a newer picture of the account."""
        self._land(shot)
        pinned = self._c.identity
        if not shot.connected or not shot.market_ms:
            return
        if pinned is not None and pinned.login != shot.identity.login:
            return  # another account's money is none of ours: IDENTITY says so
        if shot.zone_ms is not None and shot.zone_ms != self._zone_ms:
            self._zone_ms, self._dirty = shot.zone_ms, True
        if self._zone_ms is None:
            return
        # An executor that does not know the zone (any more) tells the broker's time: no day begins.
        sure = shot.zone_ms is not None
        day = day_of(shot.market_ms, self._zone_ms) if sure else self.state.day
        if day < 0:
            return
        self._miss(shot)
        if 0 <= self.state.day < day:
            self._gone.clear()
            self._told.clear()
            self._due_ms = 0
        self._take(shot, day)
        self._watch()

    def _take(self, shot: Snapshot, day: int) -> None:
        before = self.state.day
        floating = sum((_floating(one) for one in shot.positions.values()), _ZERO)
        charged = sum((gone.loss for each in self._gone.values() for gone in each), _ZERO)
        if self.state.see(shot.account, floating + charged, day):
            self._dirty = True
        if 0 <= before < self.state.day:
            self._begin_day()

    def _miss(self, shot: Snapshot) -> None:
        """Charge what positions had lost that are smaller now, until their deals are read."""
        for ticket, old in self._shown.items():
            now = shot.positions.get(ticket)
            left = now.volume if now is not None and now.type == old.type else _ZERO
            if left >= old.volume:
                continue
            loss = min(_ZERO, _floating(old) * (old.volume - left) / old.volume)
            self._gone.setdefault(ticket, []).append(_Gone(loss, self._told[ticket]))
            self._due_ms = 0
        self._shown = dict(shot.positions)

    def _land(self, shot: Snapshot) -> None:
        for rid, (_, ticket, ended_ms) in list(self._landing.items()):
            seen = ticket in shot.positions or ticket in shot.orders
            if seen or (shot.connected and shot.taken_wall_ms > ended_ms):
                del self._landing[rid]

    # --- the day -----------------------------------------------------------------------------

    def _begin_day(self) -> None:
        # One commit: a crash must not leave yesterday's latch on a day that has begun already.
        guard, now_ms = self._c.guard, self._c.clock.wall_ms()
        by_itself = self._c.policy.account.daily_loss_ends == "day"
        ends = by_itself and guard.causes.get(Cause.DAILY_LOSS) is not None
        reason = "the broker's next trading day"

        def work() -> None:
            self._write()
            if ends:
                data = {"ends": Cause.DAILY_LOSS.value, "reason": reason}
                self._c.journal.append(Record(ts=now_ms, kind="STATE", data=data))
                guard.persist(but=Cause.DAILY_LOSS)

        log_event(self._c.log, "info", "trading_day", day=self.state.day)
        # Without room for it the latch holds in the file; in memory the day has begun.
        self._orders.commit(work, may_use_reserve=False)
        if ends:
            guard.resume(Cause.DAILY_LOSS, reason)

    def _read(self, mono_ms: int) -> None:
        shot = self._c.snapshot
        if shot is None or shot.zone_ms is None or self._zone_ms is None or self.state.day < 0:
            return  # without the zone a deal's time does not say its day
        if self._ask is None or self._reading or not shot.connected:
            return
        day, since_ms = self.state.day, self.state.day * _DAY_MS - self._zone_ms
        self._reading, self._due_ms = True, mono_ms + _READ_MS
        self._ask(
            HistoryJob(_SUBJECT, max(0, since_ms), 0),
            lambda deals: self._on_deals(deals, day, since_ms),
        )

    def _on_deals(self, deals: tuple[Deal, ...] | None, day: int, since_ms: int) -> None:
        self._reading = False
        mono_ms, shot = self._c.clock.mono_ms(), self._c.snapshot
        if deals is None or shot is None or day != self.state.day:
            self._due_ms = mono_ms + (_AGAIN_MS if deals is None else 0)
            return
        self._read_ms = mono_ms
        own = [one for one in deals if since_ms <= one.time_ms < since_ms + _DAY_MS]
        total = sum((one.profit + one.swap + one.commission for one in own), _ZERO)
        self._told = Counter(one.ticket for one in own if one.entry != "IN")
        for ticket, each in list(self._gone.items()):
            left = [gone for gone in each if gone.told >= self._told[ticket]]
            if left:
                self._gone[ticket] = left
                self._due_ms = min(self._due_ms, mono_ms + _AGAIN_MS)
            else:
                del self._gone[ticket]
        if self.state.realise(total, day):
            self._dirty = True
        if shot.connected:
            self._take(shot, day)
        self._watch()

    # --- entries -----------------------------------------------------------------------------

    def accepting(self, flight: Flight) -> None:
        """Count an entry that passed, in the transaction of its row."""
        shot = self._c.snapshot
        if not isinstance(flight.body, Open) or shot is None:
            return
        order = propose(flight.body, shot)
        assert order is not None
        self._stage()
        self.state.passed(order, self._c.clock.wall_ms())
        self._write()

    def ending(self, flight: Flight, view: OrderView) -> None:
        """Count how an entry ended, in the transaction of its row."""
        if isinstance(flight.body, Open) and Status(view.status) in _ENDED:
            self._end(Status(view.status), flight.body.strategy)

    def filling(self, row: OrderRow) -> None:
        """Count a pending order's fill, in the transaction of its life."""
        body = decode_body(Open, row.body)
        self._end(Status.FILLED, body.strategy if body is not None else 0)

    def _end(self, status: Status, strategy: int) -> None:
        self._stage()
        self.state.ended(status, strategy, self._c.clock.wall_ms())
        self._write()

    def _stage(self) -> None:
        if self._before is None:
            state = self.state
            self._before = msgspec.structs.replace(
                state, fills=list(state.fills), sent=list(state.sent)
            )

    def committed(self) -> None:
        """Forget what was before."""
        self._before = None

    def undone(self) -> None:
        """Go back to what was before."""
        if self._before is not None:
            self.state, self._before = self._before, None

    def ended(self, flight: Flight) -> None:
        """Keep an entry flying until a picture shows it, and latch what it has broken."""
        body, view = flight.body, flight.row.view
        if not isinstance(body, Open):
            return
        shot = self._c.snapshot
        carried_out = view.status in (Status.FILLED, Status.PARTIAL, Status.WORKING)
        known = shot is not None and (view.ticket in shot.positions or view.ticket in shot.orders)
        if carried_out and not known:
            flying = Flying(
                symbol=body.symbol, type=body.type, volume=Decimal(body.volume),
                price=Decimal(body.price), sl=Decimal(body.sl), deviation=body.deviation,
                strategy=body.strategy,
            )  # fmt: skip
            self._landing[view.rid] = (flying, view.ticket, self._c.clock.wall_ms())
        self._watch()

    # --- breaches ----------------------------------------------------------------------------

    def _watch(self) -> None:
        now_ms = self._c.clock.wall_ms()
        for breach in self.state.breaches(self._c.policy, now_ms):
            cause = _CAUSES[breach.cause]
            if self._c.guard.causes.get(cause) is not None:
                continue
            reason = f"{breach.value} against the limit {breach.limit}"
            self._keep()  # a restart must see what was latched for
            self._c.guard.latch(cause, reason, now_ms)
            self._orders.tell.alert(cause, reason)

    def resumed(self, cause: Cause) -> None:
        """Take in that an operator has ended a latch."""
        self.state.resumed(cause)
        self._keep()

    # --- time --------------------------------------------------------------------------------

    def tick(self, now_ms: int, mono_ms: int) -> None:
        """Read the day's deals when that is due, keep what has changed, watch the account's age."""
        if mono_ms >= self._due_ms:
            self._read(mono_ms)
        if mono_ms - self._read_ms > _READ_AGE_MS_MAX:
            self.state.realised = None
        if self._dirty and mono_ms - self._kept_ms >= _KEEP_MS:
            self._keep()
        self._watch_age(now_ms, mono_ms)

    def _watch_age(self, now_ms: int, mono_ms: int) -> None:
        shot = self._c.snapshot
        if shot is None or not shot.connected:
            return  # BROKER_LINK says so
        age = now_ms - shot.taken_wall_ms
        if age <= limits.ACCOUNT_AGE_MS_MAX:
            self._stale_mono = None
            self._c.guard.condition(Cause.STALE_ACCOUNT, now_ms, present=False)
        elif self._stale_mono is None:
            self._stale_mono = mono_ms  # a PC that slept reads again at once
        elif mono_ms - self._stale_mono >= _AGAIN_MS:
            reason = f"the account was read {age // 1000} s ago"
            self._c.guard.condition(Cause.STALE_ACCOUNT, now_ms, present=True, reason=reason)

    def _keep(self) -> None:
        self._kept_ms = self._c.clock.mono_ms()
        self._dirty = not self._orders.commit(self._write, may_use_reserve=False)

    def _write(self) -> None:
        self._prune()
        kept = msgspec.json.encode(_Kept(self.state, self._zone_ms))
        self._c.journal.put_meta({_META: kept.decode("ascii")})

    def _prune(self) -> None:
        # Nothing is kept for longer than a limit looks back.
        state, account, now_ms = self.state, self._c.policy.account, self._c.clock.wall_ms()
        since = now_ms - 1000 * account.fills_window_s
        state.fills = [one for one in state.fills if account.max_fills and one.at_ms > since]
        since = now_ms - 1000 * (account.duplicate_window_s or 0)
        state.sent = [one for one in state.sent if one.at_ms > since]


def _floating(one: Position) -> Decimal:
    # MetaTrader 4 charges a position's commission when it closes; elsewhere it is 0 here.
    return one.profit + one.swap + one.commission


def _load(raw: str | None) -> _Kept:
    if raw is None:
        return _Kept(RiskState())
    try:
        return msgspec.json.decode(raw, type=_Kept)
    except msgspec.DecodeError as error:
        raise ConfigError(
            "JOURNAL", f"the journal's risk state cannot be read ({error}): restore it"
        ) from error
