"""The past read through the link: deals and ended orders over an explicit window.

The window is counted on the broker's clock and reaches beyond now, for a broker's clock runs ahead
of UTC. Absence may be concluded only from a scan that says it is complete: the right account, the
broker's link standing for a while, the same totals before and after, nothing missing that was seen
before, nothing old turning up late, and an opening deal for each position of the window.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol.errors import BridgeError
from bridge_server.backends.mt5_books import (
    RecordError,
    Row,
    deal_of,
    ended_of,
    number,
    pending_of,
    position_of,
    sort_key,
)
from bridge_server.backends.mt5_link import Answer, CallOf
from bridge_server.backends.mt5_reader import NotReadError, Reader, rows_of
from bridge_server.core.ports import Deal, EndedOrder, Scan

__all__ = ["Past", "Tags", "Window"]

_DAY_MS: Final = 86_400_000
# Where a zone is unknown: no broker's clock is further west or east.
_WEST_MS: Final = -12 * 3_600_000
_EAST_MS: Final = 14 * 3_600_000
_TIME_S_MAX: Final = 2**31 - 1  # the package cuts times to 32 bits
_SENT_MAX: Final = 100_000
_KNOWN_MAX: Final = 100_000
_LATE_MS: Final = 60_000
_GIVEN_UP_MS: Final = 600_000
_TAG: Final = re.compile(r"Z[A-Z2-7]{11}")


class Window(Struct, frozen=True):
    """A range of the broker's clock, in seconds, both ends included."""

    from_s: int
    to_s: int

    @staticmethod
    def around(since_ms: int, until_ms: int, zone_ms: int | None, back_ms: int = _DAY_MS) -> Window:
        """Return the window that holds a range of UTC ms: `back_ms` more before, two days after."""
        west, east = (_WEST_MS, _EAST_MS) if zone_ms is None else (zone_ms, zone_ms)
        first = (since_ms + west - back_ms) // 1000
        last = (until_ms + east + 2 * _DAY_MS) // 1000
        # 0 would not be taken for a time by the package.
        return Window(min(max(first, 1), _TIME_S_MAX), min(max(last, 1), _TIME_S_MAX))

    def call(self, name: str) -> CallOf:
        """Return a call of a history function over the window."""
        return CallOf(name, (self.from_s, self.to_s))


class Tags:
    """Which deals are ours: by the magics that were sent, or by a tag's form in the comment."""

    def __init__(self) -> None:
        self._sent: OrderedDict[int, None] = OrderedDict()

    def sent(self, magic: int) -> None:
        """Remember a magic, before it goes to the broker."""
        self._sent[magic] = None
        if len(self._sent) > _SENT_MAX:
            self._sent.popitem(last=False)

    def ours(self, magic: int, comment: str) -> bool:
        """Return whether a program's deal is this bridge's."""
        return magic in self._sent or _TAG.search(comment) is not None

    def marked(self, order: EndedOrder) -> bool:
        """Return whether an order may be this bridge's: a hand's has no magic, ours always has."""
        return bool(order.magic) or self.ours(0, order.comment)

    def named(self, deal: Deal) -> Deal:
        """Return a deal with the reason that people are told: only what leaves has one."""
        if deal.entry == "IN":
            return structs.replace(deal, reason="")
        if deal.reason == "OURS" and not self.ours(deal.magic, deal.comment):
            return structs.replace(deal, reason="MANUAL")
        return deal


class _Raw(Struct, frozen=True, kw_only=True):
    orders: tuple[Row, ...]
    positions: tuple[Row, ...]
    ended: tuple[Row, ...]
    deals: tuple[Row, ...]
    steady: bool


class Past:
    """Reads history; owned by the backend's thread."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self.tags = Tags()
        self._known: OrderedDict[int, int] = OrderedDict()  # deal -> the broker's ms
        self._gone_mono: dict[str, int] = {}
        self._top_ms = 0  # the latest of the broker's times that a deal had
        self._read_from_s = _TIME_S_MAX  # what is later was read before
        self._connects = -1

    # --- what is asked of it -------------------------------------------------------------------

    def scan(self, since_wall_ms: int) -> Scan:
        """Return the broker's records since a wall time (UTC ms).

        Raises:
            BridgeError: BROKER_DOWN: they cannot be read.
        """
        window = self._window(since_wall_ms)
        try:
            raw = self._read(window)
            return self._scan_of(raw, window, since_wall_ms)
        except (NotReadError, RecordError) as error:
            raise BridgeError("BROKER_DOWN", f"the terminal's records: {error}") from error

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        """Return the deals of a range of market time (UTC ms, until 0: now), oldest first.

        While the broker's zone is unknown the range is taken wide, and times are 0.

        Raises:
            BridgeError: BROKER_DOWN: they cannot be read.
        """
        zone = self._reader.zone_ms
        end = until_ms or 2**63
        window = Window.around(since_ms, min(end, self._clock.wall_ms()), zone)
        try:
            positions, deals = self._ask(CallOf("positions_get"), window.call("history_deals_get"))
            found = self._deals_of(rows_of(positions), rows_of(deals))
        except (NotReadError, RecordError) as error:
            raise BridgeError("BROKER_DOWN", f"the terminal's history: {error}") from error
        return tuple(
            self.tags.named(one) for one in found if zone is None or since_ms <= one.time_ms <= end
        )

    def note(self, rows: tuple[Row, ...], window: Window) -> None:
        """Remember the deals of a window as the terminal has shown it: none may be missing later.

        Raises:
            RecordError: a record cannot be believed.
        """
        self._connects = self._reader.link.status.connects
        self._read_from_s = min(self._read_from_s, window.from_s)
        for row in rows:
            at, ticket = sort_key(row)
            self._known[ticket] = at
            self._top_ms = max(self._top_ms, at)
        while len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)

    # --- reading -------------------------------------------------------------------------------

    def _window(self, since_ms: int) -> Window:
        # A clock of this machine that was set between then and now must not shut an order out:
        # the window holds both moments, and on the broker's own clock as long a time before now.
        wall, reading = self._clock.wall_ms(), self._reader.reading
        first, last = min(since_ms, wall), max(since_ms, wall)
        found = Window.around(first, last, self._reader.zone_ms)
        if reading is None or not reading.broker_ms:
            return found
        own = Window.around(reading.broker_ms - (last - first), reading.broker_ms, 0)
        return Window(min(found.from_s, own.from_s), max(found.to_s, own.to_s))

    def _ask(self, *calls: CallOf) -> list[Answer]:
        status = self._reader.link.beat()
        if status.wrong_account or not status.alive:
            raise NotReadError(status.wrong_account or status.why)
        return self._reader.ask(*calls)[0]

    def _read(self, window: Window) -> _Raw:
        totals = [window.call("history_orders_total"), window.call("history_deals_total")]
        # An order only moves on: from active to ended, to a deal, to a position. Read in that
        # order, it cannot slip through between two answers, and no position is shown as it was
        # before a deal that is shown.
        answers = self._ask(
            *totals,
            CallOf("orders_get"),
            window.call("history_orders_get"),
            window.call("history_deals_get"),
            CallOf("positions_get"),
            *totals,
        )
        orders, ended, deals, positions = (rows_of(one) for one in answers[2:6])
        counts = [len(ended), len(deals)]
        before, after = ([one.value for one in pair] for pair in (answers[:2], answers[6:]))
        return _Raw(
            orders=orders,
            positions=positions,
            ended=ended,
            deals=deals,
            steady=before == after == counts,
        )

    def _deals_of(self, positions: tuple[Row, ...], deals: tuple[Row, ...]) -> list[Deal]:
        zone = self._reader.zone_ms
        tickets = {number(row, "identifier"): number(row, "ticket") for row in positions}
        found = (deal_of(row, zone, tickets) for row in sorted(deals, key=sort_key))
        return [one for one in found if one is not None]

    def _scan_of(self, raw: _Raw, window: Window, since_wall_ms: int) -> Scan:
        reader, zone = self._reader, self._reader.zone_ms
        ended = [ended_of(row, zone) for row in raw.ended]
        whole = self._whole(raw, window)
        # An order in a state that nobody listed may be what is looked for, unless it bears no mark.
        odd = any(self.tags.marked(one) for one in ended if not one.life)
        complete = raw.steady and whole and reader.synced() and not odd
        return Scan(
            since_wall_ms=since_wall_ms,
            taken_wall_ms=self._clock.wall_ms(),
            complete=complete,
            netting=reader.netting,
            orders_kept=True,
            zone_ms=zone or 0,
            zone_known=zone is not None,
            positions=tuple(position_of(row, zone) for row in raw.positions),
            orders=tuple(pending_of(row, zone) for row in raw.orders),
            deals=tuple(self._deals_of(raw.positions, raw.deals)),
            ended=tuple(one for one in ended if one.life),
        )

    # --- is it all there? ----------------------------------------------------------------------

    def _whole(self, raw: _Raw, window: Window) -> bool:
        """Return whether nothing is missing that must be there, and nothing old came late."""
        again = self._reader.link.status.connects != self._connects
        shown = {number(row, "ticket"): number(row, "time_msc") for row in raw.deals}
        first_ms = window.from_s * 1000
        read_ms = self._read_from_s * 1000
        late = any(
            read_ms <= at < self._top_ms - _LATE_MS
            for deal, at in shown.items()
            if deal not in self._known
        )
        opened = {number(row, "position_id") for row in raw.deals}
        missing = [
            f"deal {deal}" for deal, at in self._known.items()
            if at >= first_ms and deal not in shown
        ]  # fmt: skip
        missing += [
            f"opening of {row['identifier']}"
            for row in raw.positions
            if number(row, "time_msc") >= first_ms and number(row, "identifier") not in opened
        ]
        self.note(raw.deals, window)
        return not (again or late or self._awaited(missing))

    def _awaited(self, missing: list[str]) -> bool:
        # A broker may take a deal back: after a long while it is not waited for any more.
        mono = self._clock.mono_ms()
        self._gone_mono = {one: self._gone_mono.get(one, mono) for one in missing}
        return any(mono - since < _GIVEN_UP_MS for since in self._gone_mono.values())
