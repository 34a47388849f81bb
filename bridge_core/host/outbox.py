"""What a webhook still has to send, and when: dedupe, order, retry, rate. Pure; ms are monotonic.

The first alert of a kind (code and subject) goes at once. What repeats within a window is counted
and told in one sum; nothing is dropped without being told (ALERTS_LOST).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from bridge_core.protocol import limits
from bridge_core.protocol.alerts import AlertCode, Severity, rank, severity_of

__all__ = ["Alert", "Item", "Outbox"]

_KINDS_MAX: Final = 512
_TRIES_FOR_GOOD: Final = 3
_DOUBLINGS_MAX: Final = 6


class Alert(Struct, frozen=True, kw_only=True):
    """One alert; `subject` tells kinds of one code apart (a symbol), `time` is UTC ms."""

    code: str
    severity: str
    message: str
    subject: str = ""
    time: int = 0

    @property
    def critical(self) -> bool:
        """Return whether it must not be dropped."""
        return self.severity == Severity.CRITICAL


class Item(Struct, kw_only=True):
    """One message to send. `repeated` more of its kind came since the last message."""

    sequence: int
    alert: Alert
    repeated: int = 0
    tries: int = 0

    def order(self) -> tuple[bool, int, int]:
        """Return what goes first: critical, then what was tried least, then the oldest."""
        return not self.alert.critical, self.tries, self.sequence


class _Kind(Struct):
    """What was told of a kind lately."""

    since_ms: int
    last: Alert
    severity: int
    more: int = 0


class Outbox:
    """Owned by one thread at a time; bounded."""

    def __init__(self) -> None:
        self._sequence = 0
        self._items: list[Item] = []
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._tokens, self._tokens_ms = float(limits.ALERT_BURST), 0
        self._blocked_ms = 0
        self._failed_ms = 0
        self._streak = 0
        self._told_to_wait = False
        self._lost = 0
        self._flying = 0
        self._sweep_ms = 0

    # --- in ----------------------------------------------------------------------------------

    def add(self, alert: Alert, now_ms: int) -> None:
        """Take an alert in: a message of its own, or one more of what was told lately."""
        self._sweep(now_ms)
        key = (alert.code, alert.subject)
        kind, urgency = self._kinds.get(key), rank(alert.severity)
        if kind is not None and urgency <= kind.severity:
            kind.more += 1
            kind.last = alert
            return
        more = 0 if kind is None else kind.more
        if kind is not None or len(self._kinds) < _KINDS_MAX:
            self._kinds[key] = _Kind(now_ms, alert, urgency)
        self._queue(alert, more)
        if not self._told_to_wait:  # something new is worth a try, though not many a second
            self._blocked_ms = min(self._blocked_ms, self._failed_ms + limits.ALERT_RETRY_MS_MIN)

    def _queue(self, alert: Alert, repeated: int) -> None:
        if len(self._items) >= limits.ALERT_QUEUE_MAX:
            idle = [one for one in self._items if one.sequence != self._flying]
            spare = min(idle, key=lambda item: (item.alert.critical, item.sequence))
            if spare.alert.critical and not alert.critical:
                self._lost += 1 + repeated
                return
            self._drop(spare)
        self._sequence += 1
        self._items.append(Item(sequence=self._sequence, alert=alert, repeated=repeated))

    def _drop(self, item: Item) -> None:
        self._items.remove(item)
        self._lost += 1 + item.repeated

    def _sweep(self, now_ms: int) -> None:
        """Sum up the kinds whose window is over; forget those that were quiet."""
        if now_ms < self._sweep_ms:
            return
        for key, kind in list(self._kinds.items()):
            if now_ms - kind.since_ms < limits.ALERT_DEDUPE_MS:
                continue
            if not kind.more:
                del self._kinds[key]
                continue
            waiting = next(
                (
                    one
                    for one in self._items
                    if (one.alert.code, one.alert.subject) == key and one.sequence != self._flying
                ),
                None,
            )
            if waiting is not None:  # nobody has read the last one yet: it says more now
                waiting.repeated += kind.more
                waiting.alert = kind.last
            else:
                self._queue(kind.last, kind.more - 1)
            self._kinds[key] = _Kind(now_ms, kind.last, rank(kind.last.severity))
        begun = min((kind.since_ms for kind in self._kinds.values()), default=now_ms)
        self._sweep_ms = begun + limits.ALERT_DEDUPE_MS

    # --- out ---------------------------------------------------------------------------------

    def take(self, now_ms: int) -> Item | None:
        """Return what to send now, one at a time: then say `delivered` or `failed`."""
        self._sweep(now_ms)
        if now_ms < self._blocked_ms:
            return None
        item = self._first()
        if item is not None and self._pays(item):
            passed = (now_ms - self._tokens_ms) / limits.ALERT_SPACING_MS
            self._tokens = min(limits.ALERT_BURST, self._tokens + passed)
            self._tokens_ms = now_ms
            if self._tokens < 1:
                return None
        self._flying = item.sequence if item is not None else 0
        return structs.replace(item) if item is not None else None

    def _first(self) -> Item | None:
        item = min(self._items, key=Item.order, default=None)
        if self._lost and (item is None or not item.alert.critical):
            return self._loss()
        return item

    def _loss(self) -> Item:
        alert = Alert(
            code=AlertCode.ALERTS_LOST,
            severity=severity_of(AlertCode.ALERTS_LOST),
            message=f"{self._lost} alerts were dropped: the receiver was away or too slow",
        )
        return Item(sequence=0, alert=alert, repeated=self._lost)

    @staticmethod
    def _pays(item: Item) -> bool:
        return not item.alert.critical and not item.tries and item.sequence > 0

    def due_ms(self, now_ms: int) -> int | None:
        """Return when to ask `take` again, None if there is nothing to wait for."""
        ends = [
            kind.since_ms + limits.ALERT_DEDUPE_MS for kind in self._kinds.values() if kind.more
        ]
        if self._items or self._lost:
            item = self._first()
            due = max(now_ms, self._blocked_ms)
            if item is not None and self._pays(item) and self._tokens < 1:
                missing = (1 - self._tokens) * limits.ALERT_SPACING_MS
                due = max(due, self._tokens_ms + int(missing) + 1)
            ends.append(due)
        return min(ends, default=None)

    def delivered(self, item: Item) -> None:
        """Say that a message has arrived."""
        self._streak = self._blocked_ms = self._flying = 0
        self._told_to_wait = False
        if item.sequence == 0:
            self._lost -= item.repeated
            return
        if self._pays(item):
            self._tokens -= 1
        self._items = [one for one in self._items if one.sequence != item.sequence]

    def failed(
        self, item: Item, now_ms: int, *, for_good: bool = False, wait_ms: int | None = None
    ) -> bool:
        """Say that a try failed; return whether the message is dropped.

        `for_good`: the receiver will not take it as it is. `wait_ms` is what the receiver asked.
        """
        self._streak += 1
        self._flying = 0
        backed_off = limits.ALERT_RETRY_MS_MIN << min(self._streak - 1, _DOUBLINGS_MAX)
        wait = min(backed_off if wait_ms is None else wait_ms, limits.ALERT_RETRY_MS_MAX)
        self._failed_ms, self._blocked_ms = now_ms, now_ms + wait
        self._told_to_wait = wait_ms is not None
        if item.sequence == 0:
            return False
        held = next(one for one in self._items if one.sequence == item.sequence)
        if self._pays(held):
            self._tokens -= 1
        held.tries += 1
        tries_max = _TRIES_FOR_GOOD if for_good else limits.ALERT_TRIES_MAX
        if held.tries >= tries_max and (for_good or not held.alert.critical):
            self._drop(held)
            return True
        return False

    # --- the end -----------------------------------------------------------------------------

    def hurry(self, now_ms: int) -> None:
        """The process ends: sum up everything now, and wait for no back-off but a told one."""
        for kind in self._kinds.values():
            if kind.more:
                kind.since_ms = now_ms - limits.ALERT_DEDUPE_MS
        self._sweep_ms = now_ms
        self._sweep(now_ms)
        self._streak = 0
        if not self._told_to_wait:
            self._blocked_ms = now_ms

    @property
    def critical_waiting(self) -> bool:
        """Return whether something waits that must not be lost."""
        return any(item.alert.critical for item in self._items)

    def left(self) -> dict[str, int]:
        """Return what was not delivered: how many messages of each code."""
        found: dict[str, int] = {AlertCode.ALERTS_LOST: self._lost} if self._lost else {}
        for item in self._items:
            found[item.alert.code] = found.get(item.alert.code, 0) + 1 + item.repeated
        return found
