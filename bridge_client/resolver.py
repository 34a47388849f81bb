"""The background thread: resolves what callers left open, makes outcomes durable, witnesses.

It pumps the socket only while orders are open; otherwise it sleeps, so that callers pump alone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bridge_client.journal import ConnectorJournal, Refused
from bridge_client.link import Link
from bridge_client.mailbox import Mailbox
from bridge_client.order import Driver, Order, rid_of
from bridge_client.risk_keeper import RiskKeeper
from bridge_client.witness import Fork
from bridge_core.host.sqlite import JournalBusy, JournalFull
from bridge_core.protocol.chain import Head
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.messages import GetRange
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import LogPage, OrderView

__all__ = ["Resolver"]

_WITNESS_S: Final = 60.0
_WITNESS_WAIT_S: Final = 1.0
_LEAST_WAIT_S: Final = 0.2
_WITNESS_PAGES: Final = 10
_RETRY_S: Final = 0.5
_IDLE_S: Final = 5.0
_DAY_MS: Final = 86_400_000
# Outcomes are written a moment later, many in one commit: at once they would take the disk and
# the interpreter from the caller who has just been answered. Until then the row says "ask".
_BATCH_S: Final = 0.03


class Resolver:
    """Owns the orders that no caller waits for any more."""

    def __init__(self, link: Link, journal: ConnectorJournal) -> None:
        self._link = link
        self._journal = journal
        self._driver = Driver(link)
        self._mailbox = Mailbox(link=True)
        self._wake = threading.Condition()
        self._looking, self._flushing = threading.Lock(), threading.Lock()
        self._open: dict[str, Order] = {}
        self._done: deque[Order] = deque()
        self._refused: Counter[Refused] = Counter()
        self._closing = False
        self._failed = False
        self._flush_due = 0.0
        self._kept = Head(-1, b"")
        self._fork_kept: Fork | None = None
        self._witness_due = time.monotonic() + _WITNESS_S
        self._witnessed = ""
        self._knocked = False
        self.keeper: RiskKeeper | None = None
        self.errand: Callable[[float], bool] | None = None
        self.on_final: Callable[[Order], None] = lambda _order: None
        self.on_stored: Callable[[Order], None] = lambda _order: None
        self._thread = threading.Thread(target=self._run, name="ztb-resolver", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def greeted(self) -> None:
        """There is a connection: do the errand, if one is left; look at the record of a new run."""
        with self._wake:
            self._knocked = True
            if self._link.session.proven_inc != self._link.session.inc:
                self._witness_due = 0.0
            self._wake.notify()

    def adopt(self, order: Order) -> None:
        """Go on with an order that its caller left."""
        assert order.exchange is not None
        left = order.mailbox
        with self._wake:
            self._open[order.exchange.rid] = order
            self._driver.route(order, self._mailbox)
            while (frames := left.take()) is not None:
                self._mailbox.put(frames)
            self._wake.notify()
        self._link.transport.wake(self._mailbox)

    def store(self, order: Order) -> None:
        """Make an order's outcome durable soon."""
        first = not self._done
        self._done.append(order)
        if first:
            self._flush_due = time.monotonic() + _BATCH_S
            with self._wake:
                self._wake.notify()

    def refused(self, view: OrderView) -> None:
        """Count a refusal of this connector's own; written with the next outcomes, or at the end.

        A count only: nothing was signed, and a strategy that runs wild must not wait for the disk.
        """
        day = self._link.clocks().wall_ms // _DAY_MS
        with self._wake:
            self._refused[Refused(day, view.op, view.symbol, view.code, view.limit)] += 1

    def nudge(self, rid: str) -> None:
        """Ask about an order at once, if it is ours to ask."""
        with self._wake:
            order = self._open.get(rid)
            if order is None or order.life is None:
                return
            order.life.nudge(self._link.clocks())
        self._link.transport.wake(self._mailbox)

    def fence(self, order: Order) -> None:
        """End an order that the background drives, rather than wait for it."""
        with self._wake:
            if order.life is not None:
                order.life.fence(self._link.clocks())
        self._link.transport.wake(self._mailbox)

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            with self._wake:
                if not self._open and not self._knocked:
                    self._wake.wait(self._nap())
            try:
                self._turn()
            except BridgeError:
                # Closed under our feet, or the disk failed: the rows stay unfinished on disk.
                self._pause()

    def _pause(self) -> None:
        with self._wake:
            if not self._closing:
                self._wake.wait(_RETRY_S)

    def _nap(self) -> float:
        if not self._done or self._closing:
            return 0.0 if self._closing else _IDLE_S
        return _RETRY_S if self._failed else max(0.0, self._flush_due - time.monotonic())

    def _turn(self) -> None:
        if self._failed or not self._done or time.monotonic() >= self._flush_due:
            self.flush()
        self._do_errand()
        until = self._advance()
        if until is not None:
            self._link.transport.wait(self._mailbox, until)
            while (frames := self._mailbox.take()) is not None:
                order = self._about(rid_of(frames))
                if order is not None:
                    self._driver.deliver(order, frames)
                    self._settle(order)
        # What answers now may be another run than the one HELLO was said to.
        unmet = self._open and self._link.session.stale and self._link.transport.connected
        if unmet or time.monotonic() >= self._witness_due:
            self._look_at_record()

    def _look_at_record(self) -> None:
        session = self._link.session
        before = session.proven_inc
        if session.stale:
            self._link.ready(time.monotonic() + _WITNESS_WAIT_S)
        self.witness()
        shown = session.fork is not None or session.proven_inc == session.inc
        self._witness_due = time.monotonic() + (_WITNESS_S if shown else _IDLE_S)
        if session.proven_inc != before:  # what was doubted until now may be believed
            with self._wake:
                for order in self._open.values():
                    if order.life is not None:
                        order.life.nudge(self._link.clocks())

    def _do_errand(self) -> None:
        if not self._knocked:
            return
        if self.errand is None or not self._link.greeted:
            self._knocked = False  # the next HELLO knocks again
        elif self.errand(time.monotonic() + _RETRY_S):
            self.errand = None

    def _about(self, rid: str) -> Order | None:
        with self._wake:
            return self._open.get(rid) or next(
                (o for o in self._open.values() if rid in o.questions), None
            )

    def _advance(self) -> float | None:
        with self._wake:
            orders = list(self._open.values())
        ahead: float | None = None
        for order in orders:
            due = self._driver.advance(order)
            if due is None:
                self._settle(order)
            else:
                ahead = due if ahead is None else min(ahead, due)
        if ahead is not None and self._done and not self._failed:
            ahead = min(ahead, self._flush_due)
        return None if ahead is None else min(ahead, time.monotonic() + _RETRY_S)

    def _settle(self, order: Order) -> None:
        view = order.view
        if not view.final:
            return
        now = (view.status, order.over)
        if order.told == now:
            return
        first = not order.settled.is_set()
        order.told = now
        self.store(order)
        if order.over:
            with self._wake:
                self._open.pop(view.rid, None)
            self._driver.release(order)
        if first or order.over:
            self.on_final(order)
        order.settled.set()  # after the book has it: until then it counts as in flight

    def flush(self) -> None:
        """Write outcomes and the newest log head; on a full disk they wait. Any thread may."""
        with self._flushing:
            self._flush()

    def _flush(self) -> None:
        batch = [self._done.popleft() for _ in range(len(self._done))]
        now_ms = self._link.clocks().wall_ms
        try:
            pair = self._new_pair()
            said = {o.view.rid: o.said for o in batch if o.said is not None}
            risk = "" if self.keeper is None else self.keeper.changed()
            views = ((o.view, o.over) for o in batch)
            self._journal.outcomes(views, now_ms, pair, said, risk)
            if self.keeper is not None:
                self.keeper.kept(risk)
            self._kept = pair or self._kept
            self._keep_fork(now_ms)
        except (JournalFull, JournalBusy):
            self._done.extendleft(reversed(batch))
            self._failed = True
            return
        self._failed = False
        for order in batch:
            if order.over:
                self.on_stored(order)
        self._flush_counts()

    def _flush_counts(self) -> None:
        # Statistics: a disk that does not take them must not change how anything ends.
        with self._wake:
            counts, self._refused = self._refused, Counter()
        try:
            self._journal.count_refusals(counts)
        except BridgeError:
            with self._wake:
                self._refused += counts

    def _new_pair(self) -> Head | None:
        top = self._link.session.witness.top
        newer = self._link.session.fork is None and top.size > self._kept.size
        return top if newer else None

    def _keep_fork(self, now_ms: int) -> None:
        fork = self._link.session.fork
        if fork is None or fork == self._fork_kept:
            return
        for pair in (fork.seen, fork.shown):
            self._journal.keep_pair(pair, now_ms, fork.why)
        self._journal.latch("LOG_FORK", fork.why, now_ms)
        self._fork_kept = fork

    def witness_anew(self, until: float) -> None:
        """Do `witness` once for each run of the server, before anything is added under it.

        A log can go back only while its server is down. One that went back and grew beyond what
        was seen shows it on the first page, so the order that asks waits for no more than that.
        """
        run = self._link.session.inc
        if run not in (self._witnessed, self._link.session.proven_inc):
            with suppress(BridgeError):  # a disk that fails now fails the intent too
                self.witness(max(_LEAST_WAIT_S, min(_WITNESS_WAIT_S, until - time.monotonic())))
        self._witnessed = run

    def witness(self, wait_s: float = _WITNESS_WAIT_S) -> None:
        """Check that the server's log extends what was seen (rule 6); a fork is latched."""
        # A page is judged from where its question began, so one looks at a time; who cannot wait
        # so long goes on as if nobody had answered.
        if not self._looking.acquire(timeout=wait_s):
            return
        try:
            self._read_log(wait_s)
        finally:
            self._looking.release()
        self.flush()

    def _read_log(self, wait_s: float) -> None:
        session = self._link.session
        for _ in range(_WITNESS_PAGES):
            if session.fork is not None or not self._link.greeted:
                break
            body = GetRange(since=0, first=session.witness.proven.size + 1, count=0)
            try:
                page = self._link.ask(Op.GET_LOG, body, LogPage, wait_s)
            except BridgeError:
                break
            self._link.check_page(page)
            if not page.rows or session.witness.proven.size >= session.witness.top.size:
                break

    def accept(self, now_ms: int) -> None:
        """Start the witness anew from what the server shows now; nothing is judged meanwhile."""
        with self._looking, self._flushing:
            self._journal.accept_pair(self._link.accept_fork(), now_ms)
            self._fork_kept = None

    def close(self) -> None:
        """End the thread and write what is known; what is not final stays unfinished on disk."""
        self._closing = True
        with self._wake:
            self._wake.notify()
        self._link.transport.wake(self._mailbox)
        if self._thread.is_alive():
            self._thread.join()
        self.flush()
