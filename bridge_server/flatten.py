"""FLATTEN: one signed order with many effects (protocol.md 5).

At its intent commit the tickets are fixed, one child row each; every child is journaled and begun
once like any other order, and may begin until `flatten_window_ms` later, also after a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from bridge_core.host.sqlite import IntegrityError
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Cancel, Close, Flatten, Request, encode_body
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import Child, OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import child_rid
from bridge_server.context import Context
from bridge_server.core.orders import FINAL_STATES, Evidence, OrderState
from bridge_server.core.ports import Executed, Facts, Lost, NotBegun, Outcome, Snapshot
from bridge_server.flight import Flight
from bridge_server.journal import OrderRow
from bridge_server.lifecycle import Lifecycle
from bridge_server.rows import magic_of
from bridge_server.telling import Waiter
from bridge_server.views import view_of_body

__all__ = ["Flattener", "targets"]

_DONE: Final = frozenset({Status.FILLED.value, Status.DONE.value})


class Flattener:
    """Parents and children of FLATTEN orders."""

    def __init__(self, context: Context, lifecycle: Lifecycle) -> None:
        self._c = context
        self._orders = lifecycle

    def begin(
        self, parent: Flight, waiter: Waiter | None, also: Callable[[], None] = lambda: None
    ) -> Refusal | None:
        """Fix the tickets in one commit and queue the children; the parent waits for them.

        Without a waiter it is the server's own act. `also` is written in the same commit.
        """
        body, shot = parent.body, self._c.snapshot
        if not isinstance(body, Flatten) or shot is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        parent.row.state = OrderState.DISPATCHING
        parent.row.dispatched_ms = parent.row.accepted_ms
        wanted = targets(body.scope, body.symbol, shot)
        children = [self._child(parent, op, target) for op, target in wanted]
        parent.row.view = msgspec.structs.replace(
            parent.row.view, children=[_shown(child.row) for child in children]
        )

        def work() -> None:
            facts = {"children": str(len(children)), **({} if waiter else {"by": "server"})}
            self._c.journal.insert(parent.row, "ORDER", facts)
            for child in children:
                self._c.journal.insert(child.row, "ORDER", {"parent": parent.row.rid})
            also()

        try:
            if not self._orders.commit(work, may_use_reserve=True):
                return Refusal(ReasonCode.JOURNAL_FULL)
        except IntegrityError:  # somebody has used up a child's rid, which can be foreseen
            return Refusal(ReasonCode.CONFLICT)
        counter, tickets = self._c.worker.counter, [child.row.ticket for child in children]
        if waiter is not None:
            counter.fix(parent.row.rid, tickets)
            parent.waiters.append(waiter)
        else:
            counter.own(parent.row.rid, tickets)
        self._orders.flights[parent.row.rid] = parent
        for child in children:
            self._orders.flights[child.row.rid] = child
            self._orders.reduce.append(child.row.rid)
        if not children:
            self._conclude(parent)
        self._orders.dispatch_next()
        return None

    def _child(self, parent: Flight, op: Op, target: tuple[int, str]) -> Flight:
        ticket, symbol = target
        rid = child_rid(parent.row.rid, ticket)
        signer = parent.body.client if isinstance(parent.body, Flatten) else ""
        body: Request
        if op is Op.CLOSE:
            body = Close(
                client_order_id=rid,
                client=signer,
                ticket=ticket,
                symbol=symbol,
                volume="0",
                deviation=limits.DEVIATION_POINTS_MAX,
            )
        else:
            body = Cancel(client_order_id=rid, client=signer, ticket=ticket)
        now_ms = self._c.clock.wall_ms()
        magic = magic_of(self._c, rid, body)
        view = view_of_body(rid, op, parent.row.kid, body, now_ms)
        row = OrderRow(
            rid=rid,
            client_order_id=None,
            kid=parent.row.kid,
            client=parent.row.client,
            op=op,
            symbol=symbol,
            state=OrderState.ACCEPTED,
            parent=parent.row.rid,
            body=encode_body(body),
            inc=self._c.incarnation,
            magic=magic,
            deadline_ms=parent.row.accepted_ms + limits.FLATTEN_WINDOW_MS,
            accepted_ms=now_ms,
            ticket=ticket,
            view=msgspec.structs.replace(
                view,
                client_order_id="",
                client=parent.row.client,
                parent=parent.row.rid,
                magic=magic,
            ),
        )
        return self._child_flight(row, body, parent.frames)

    def _child_flight(self, row: OrderRow, body: Request | None, frames: Frames) -> Flight:
        now_wall, now_mono = self._c.clock.wall_ms(), self._c.clock.mono_ms()
        return Flight(
            row=row,
            body=body,
            frames=frames,
            deadline=Deadline.at(row.deadline_ms, now_wall, now_mono),
        )

    def waits(self, flight: Flight) -> bool:
        """Return whether a child stays in the queue: it has a window, and nothing can be sent now.

        An executor that attests is asked all the same: only its word ends a child.
        """
        hop = self._c.hop if self._c.executor is None else None
        return bool(flight.row.parent) and hop is not None and not hop.about().linked

    def on_final(self, flight: Flight) -> None:
        """Tell a parent that one of its children has ended, or is UNKNOWN."""
        parent = self._orders.flights.get(flight.row.parent) if flight.row.parent else None
        if parent is not None:
            self._conclude(parent)

    def _conclude(self, parent: Flight) -> None:
        children = self._c.journal.children(parent.row.rid)
        shown = [_shown(child) for child in children]
        view = msgspec.structs.replace(parent.row.view, children=shown)
        parent.row.view = view
        states = [child.state for child in children]
        if OrderState.UNKNOWN in states:
            if parent.row.state is OrderState.DISPATCHING:
                lost = Lost(cause="a ticket of the FLATTEN is UNKNOWN")
                self._orders.finish(parent, lost, Evidence.SERVER)
            return
        if any(state not in FINAL_STATES for state in states):
            return
        rid = parent.row.rid
        if self._c.executor is None:
            self._orders.finish(parent, _by_children(view), Evidence.BROKER)
        else:
            self._orders.ask_word(rid)  # the executor has a word of its own about it

    def weigh(self, flight: Flight, outcome: Outcome) -> Outcome:
        """Return what a FLATTEN came to: the executor's own word, and nothing less.

        Only an attesting executor is asked about the FLATTEN itself. While it is away its word is
        missing, so the whole is UNKNOWN, and it is asked again.
        """
        if flight.row.op != Op.FLATTEN:
            return outcome
        children = self._c.journal.children(flight.row.rid)
        shown = [_shown(child) for child in children]
        flight.row.view = msgspec.structs.replace(flight.row.view, children=shown)
        if isinstance(outcome, Lost) or outcome.record or not children:
            return outcome
        return Lost(cause="the executor's word about the FLATTEN is missing")

    # --- restart -----------------------------------------------------------------------------

    def recover_child(self, flight: Flight) -> None:
        """Queue a child that had not begun; one that had is UNKNOWN."""
        if flight.row.state is OrderState.DISPATCHING:
            self._orders.finish(flight, Lost(cause="the server restarted"), Evidence.SERVER)
        elif flight.row.state is OrderState.ACCEPTED:
            if flight.deadline.passed(self._c.clock.wall_ms(), self._c.clock.mono_ms()):
                expired = NotBegun(refusal=Refusal(ReasonCode.EXPIRED))
                self._orders.finish(flight, expired, Evidence.SERVER)
            else:
                self._orders.reduce.append(flight.row.rid)

    def recover_parents(self) -> None:
        """Conclude parents whose children have all ended meanwhile."""
        for flight in list(self._orders.flights.values()):
            if flight.row.op == Op.FLATTEN:
                self._conclude(flight)


def targets(scope: str, symbol: str, shot: Snapshot) -> list[tuple[Op, tuple[int, str]]]:
    """Return what is in a FLATTEN's scope as the broker shows it; symbol "" means every one."""
    wanted = [
        (Op.CANCEL, (one.ticket, one.symbol))
        for one in shot.orders.values()
        if scope in ("PENDINGS", "ALL") and symbol in ("", one.symbol)
    ]
    wanted += [
        (Op.CLOSE, (one.ticket, one.symbol))
        for one in shot.positions.values()
        if scope in ("POSITIONS", "ALL") and symbol in ("", one.symbol)
    ]
    return wanted


def _by_children(view: OrderView) -> Executed:
    failed = any(child.status not in _DONE for child in view.children)
    return Executed(
        status=Status.PARTIAL if failed else Status.DONE,
        code=ReasonCode.CHILD_FAILED if failed else ReasonCode.NONE,
        facts=Facts(),
    )


def _shown(row: OrderRow) -> Child:
    view: OrderView = row.view
    return Child(
        ticket=row.ticket,
        rid=row.rid,
        status=view.status,
        code=view.code,
        op=row.op,
        ea=view.ea,
        ea_mac=view.ea_mac,
    )
