"""Stopping one account for good: HALT, again until it is answered, and FLATTEN beside it.

A HALT that got no answer is sent again under another request id; it only ever lowers, so that does
no harm. FLATTEN does not wait for it: it is one signed order, signed once, and no limit or state
refuses it.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from msgspec import Struct

from bridge_client.connector import Connector
from bridge_client.result import OrderResult
from bridge_client.views import StateResult
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import BridgeError

__all__ = ["STOP_WAIT_S", "Stopped", "stop_account"]

STOP_WAIT_S: Final = 10.0
_TRY_S: Final = 2.0
_REST_S: Final = 0.2
_CLOSED: Final = frozenset({Status.FILLED, Status.DONE})


class Stopped(Struct, frozen=True, kw_only=True):
    """What stopping one account gave.

    `flattened` is the FLATTEN with an outcome for each ticket, None if none was asked for or, by
    `reason`, none could be signed. `halts` is how many HALTs were sent, `halted_s` when the last
    of them was answered or given up, `seconds` the whole.
    """

    halted: StateResult
    flattened: OrderResult | None = None
    reason: str = ""
    halts: int = 1
    halted_s: float = 0.0
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether the account is halted and, if that was asked for, flat."""
        flat = self.flattened is None or self.flattened.status is Status.DONE
        return self.halted.status == Status.OK and flat and not self.reason

    @property
    def todo(self) -> tuple[str, ...]:
        """What a person has to do now, one sentence each; nothing when it is done."""
        return (*_about_halt(self.halted), *_about_flatten(self.flattened, self.reason))


def _about_halt(halted: StateResult) -> tuple[str, ...]:
    if halted.status == Status.OK:
        return ()
    if halted.code == ReasonCode.SCOPE:
        return ("it is not halted: this key may not halt, use a trade or reduce bundle",)
    by_hand = (
        "end ztb-server on its machine, and write HALTED into a file `halted` in its state folder"
    )
    why = f"{halted.status} {halted.code}"
    return (f"it may not be halted ({why}): run `ztb halt` again, or {by_hand}",)


def _about_flatten(flattened: OrderResult | None, reason: str) -> tuple[str, ...]:
    if reason:
        return (f"nothing was closed: {reason}",)
    if flattened is None or flattened.status is Status.DONE:
        return ()
    name = flattened.client_order_id or flattened.rid
    said = []
    for child in flattened.children:
        if child.status in _CLOSED:
            continue
        if child.status in (Status.UNKNOWN, Status.PENDING):
            said.append(
                f"ticket {child.ticket} is {child.status}: the server goes on, also after a "
                f"restart, so look at `ztb status {child.rid}` before anything else"
            )
        else:
            said.append(
                f"ticket {child.ticket} is still open ({child.status} {child.code}): flatten "
                "again, or close it in the terminal"
            )
    if said:
        return tuple(said)
    if flattened.final:
        return (f"nothing was closed ({flattened.status} {flattened.code}): flatten again",)
    return (f"the FLATTEN is {flattened.status}: before anything else run `ztb wait {name}`",)


class _Halting:
    """HALT until it is answered, in a thread of its own."""

    def __init__(self, connector: Connector, reason: str, until: float) -> None:
        self._connector, self._reason, self._until = connector, reason, until
        self._begun = time.monotonic()
        self.result = StateResult(
            status=Status.DENIED, code=ReasonCode.NO_CONNECTION, by="connector"
        )
        self.error: BridgeError | None = None
        self.halts = 0
        self.seconds = 0.0
        self.tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="halt", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._answered():
                left = self._until - time.monotonic()
                if self.halts and left <= 0:
                    return
                self.halts += 1
                self.result = self._connector.halt(
                    self._reason, wait=max(_REST_S, min(_TRY_S, left))
                )
                self.seconds = time.monotonic() - self._begun
                self.tried.set()
        except BridgeError as error:
            self.error = error
        finally:
            self.tried.set()

    def _answered(self) -> bool:
        unheard = self.result.by == "connector" and self.result.code != ReasonCode.SCOPE
        return bool(self.halts) and not unheard

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()
        if self.error is not None:
            raise self.error


def stop_account(
    connector: Connector, reason: str, *, flatten: bool, wait: float = STOP_WAIT_S
) -> Stopped:
    """Halt an account and, if asked, flatten it; returns after about `wait` seconds at the latest.

    The HALT goes out first. Where it is not answered in two seconds FLATTEN goes out all the same.

    Raises:
        TransportError: nothing could be sent, so the account is as it was; says why.
    """
    begun = time.monotonic()
    halting = _Halting(connector, reason, begun + wait)
    halting.tried.wait()
    done, why = _flatten(connector, reason, begun + wait) if flatten else (None, "")
    halting.join()
    unsent = done is None or _unsent(done)
    if halting.result.code == ReasonCode.NO_CONNECTION and unsent:
        connector.connect(0)  # raises, with what is wrong
    return Stopped(
        halted=halting.result, flattened=done, reason=why, halts=halting.halts,
        halted_s=halting.seconds, seconds=time.monotonic() - begun,
    )  # fmt: skip


def _flatten(connector: Connector, reason: str, until: float) -> tuple[OrderResult | None, str]:
    while True:
        try:
            done = connector.flatten(reason, wait=max(_TRY_S, until - time.monotonic()))
        except BridgeError as error:
            return None, str(error)
        # Refused before it was signed: another one is not a second FLATTEN.
        if not _unsent(done) or time.monotonic() >= until:
            return done, ""
        time.sleep(_REST_S)


def _unsent(done: OrderResult) -> bool:
    return done.code == ReasonCode.NO_CONNECTION and done.by == "connector"
