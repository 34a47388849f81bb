"""What happens at the broker by itself, found by looking every so often (protocol.md 10).

MetaTrader 5 tells a program nothing: positions, orders and deals are read and compared. Owned by
the backend's thread. While the link is away nothing is told; what happened meanwhile is told from
the deals once it is back and the terminal has synchronised.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from bridge_core.host.clock import Clock
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.replies import text_of
from bridge_server.backends.mt5_books import (
    Kept,
    RecordError,
    Row,
    deal_of,
    ended_of,
    exact,
    number,
    pending_of,
    position_of,
    sort_key,
)
from bridge_server.backends.mt5_link import CallOf
from bridge_server.backends.mt5_past import Past, Window
from bridge_server.backends.mt5_reader import NotReadError, Reader, Reading, rows_of
from bridge_server.backends.mt5_story import Gone, Held, Look, Resting, Story
from bridge_server.backends.mt5_tale import Done
from bridge_server.core.ports import Quote

__all__ = ["POLL_MS", "Watch"]

POLL_MS: Final = 250
_BACK_MS: Final = 7_200_000  # deals of one moment become visible within minutes, not hours
_ASKED_MAX: Final = 50
_QUARTER_S: Final = 900
_MONEY_MS: Final = 1_000


class Watch:
    """Reads the account every `poll_ms`, keeps the picture fresh, and tells what changed."""

    def __init__(self, reader: Reader, past: Past, clock: Clock, poll_ms: int = POLL_MS) -> None:
        self._reader = reader
        self._past = past
        self._clock = clock
        self._poll_ms = poll_ms
        self._story = Story()
        self._held: Kept[tuple[int, Held]] = Kept()
        self._due_mono = 0
        self._connects = -1
        self._quotes: dict[str, Quote] = {}
        self._money = ""
        self._money_mono = 0
        # The window of the history looked at, and its totals as they were then.
        self._from_s = 0
        self._looked_wall = 0
        self._totals: list[object] | None = None

    def hint(self) -> None:
        """Look at the next pump, whatever the interval: something was sent to the broker."""
        self._due_mono = 0

    def pump(self) -> list[EventBody]:
        """Look if it is due; return what happened since the last look, ticks first."""
        mono = self._clock.mono_ms()
        if mono < self._due_mono:
            return []
        self._due_mono = mono + self._poll_ms
        if not self._reader.refresh():
            return []
        reading = self._reader.reading
        assert reading is not None
        events = self._ticks()
        if reading.connects != self._connects:
            self._connects, self._totals = reading.connects, None
            self._story.wait_anew()
        if not self._reader.synced():
            return events
        try:
            events += self._look(reading)
            self._reader.remark = ""
        except NotReadError:
            self._totals = None  # the next look asks again
        except RecordError as error:
            self._totals = None
            self._reader.remark = f"events stand still, the terminal shows what cannot be: {error}"
        return events

    # --- one look ------------------------------------------------------------------------------

    def _look(self, reading: Reading) -> list[EventBody]:
        window = self._window(reading)
        resting = {number(row, "ticket") for row in reading.orders}
        missing = self._story.missing(resting)[:_ASKED_MAX]
        told = self._story.tell(self._made(reading, *self._read_past(window, missing)))
        self._looked_wall = reading.wall_ms
        if window.from_s != self._from_s:
            self._from_s = window.from_s
            self._story.forget_before(window.from_s * 1000)
        return told + self._account(dealt=any(one.deal for one in told))

    def _window(self, reading: Reading) -> Window:
        since = self._looked_wall or reading.wall_ms
        found = Window.around(since, reading.wall_ms, self._reader.zone_ms, _BACK_MS)
        first = found.from_s
        if reading.broker_ms:  # a PC's clock may be wrong; the broker's own is not
            first = min(first, (reading.broker_ms - _BACK_MS) // 1000)
        # By the quarter of an hour, so that the totals of two looks can be compared. Never back:
        # what was forgotten would be told again.
        return Window(max(first - first % _QUARTER_S, self._from_s, 1), found.to_s)

    def _read_past(
        self, window: Window, missing: list[int]
    ) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        """Return ended orders and deals of the window, nothing if they are as at the last look.

        An order that is missing is asked for by its ticket: it may be older than the window.
        """
        asked = [window.call("history_orders_total"), window.call("history_deals_total")]
        counts, _ = self._reader.ask(*asked)
        if not all(one.ok for one in counts):
            raise NotReadError(counts[0].text or counts[1].text)
        totals = [one.value for one in counts]
        same = totals == self._totals and window.from_s == self._from_s
        if same and not missing and not self._story.waits:
            return (), ()
        asked = [window.call("history_orders_get"), window.call("history_deals_get")]
        asked += [CallOf("history_orders_get", (), {"ticket": ticket}) for ticket in missing]
        answers, _ = self._reader.ask(*asked)
        ended, deals = rows_of(answers[0]), rows_of(answers[1])
        self._totals = totals if totals == [len(ended), len(deals)] else None
        self._past.note(deals, window)
        for one in answers[2:]:
            ended += rows_of(one)
        return ended, deals

    def _made(self, reading: Reading, ended: tuple[Row, ...], deals: tuple[Row, ...]) -> Look:
        zone = self._reader.zone_ms
        return Look(
            mono_ms=reading.mono_ms,
            broker_ms=max([reading.broker_ms, *(sort_key(row)[0] for row in deals)]),
            now_ms=self._reader.snapshot().market_ms,
            held=dict(self._held.of(reading.positions, zone, lambda row: _held(row, zone))),
            resting={number(row, "ticket"): _resting(row, zone) for row in reading.orders},
            deals=[one for one in (self._done(row, zone) for row in deals) if one is not None],
            gone=[_gone(row, zone) for row in ended],
        )

    def _done(self, row: Row, zone: int | None) -> Done | None:
        deal = deal_of(row, zone, {})
        if deal is None:
            return None
        named = self._past.tags.named(deal)
        return Done(deal=named, identifier=number(row, "position_id"), at=sort_key(row))

    # --- ticks and money -------------------------------------------------------------------------

    def _ticks(self) -> list[EventBody]:
        quotes = self._reader.snapshot().quotes
        changed = [
            one for one in quotes.values() if _price(one) != _price(self._quotes.get(one.symbol))
        ]
        self._quotes = dict(quotes)
        return [
            EventBody(
                type="tick",
                symbol=one.symbol,
                bid=text_of(one.bid),
                ask=text_of(one.ask),
                time=one.time_ms,
            )
            for one in changed
        ]

    def _account(self, *, dealt: bool) -> list[EventBody]:
        """Tell the money when it moved, at most once a second unless something was dealt."""
        shot, mono = self._reader.snapshot(), self._clock.mono_ms()
        one = shot.account
        event = EventBody(
            type="account_update",
            balance=text_of(one.balance),
            equity=text_of(one.equity),
            margin=text_of(one.margin),
            free_margin=text_of(one.free_margin),
        )
        money = f"{event.balance} {event.equity} {event.margin} {event.free_margin}"
        due = dealt or mono - self._money_mono >= _MONEY_MS
        if money == self._money or not due:
            return []
        first = not self._money
        self._money, self._money_mono = money, mono
        return [] if first else [structs.replace(event, time=shot.market_ms)]


def _price(one: Quote | None) -> tuple[object, ...] | None:
    return (one.bid, one.ask, one.time_ms) if one is not None else None


def _held(row: Row, zone: int | None) -> tuple[int, Held]:
    one = Held(position=position_of(row, zone), update_ms=number(row, "time_update_msc"))
    return number(row, "identifier"), one


def _resting(row: Row, zone: int | None) -> Resting:
    return Resting(
        order=pending_of(row, zone),
        placed=exact(row, "volume_initial"),
        expires_s=number(row, "time_expiration"),
    )


def _gone(row: Row, zone: int | None) -> Gone:
    placed = exact(row, "volume_initial")
    return Gone(
        ended=ended_of(row, zone),
        order=structs.replace(pending_of(row, zone), volume=placed),
        at_ms=number(row, "time_done_msc") or number(row, "time_setup_msc"),
    )
