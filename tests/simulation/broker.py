"""The paper broker, with a line to the simulated terminal that fails in every listed way.

The acts, the file and the ledger are the product's own. What is added: calls that end without an
answer, with one that nobody listed, in a partial fill, or whose effect shows only later; and steps
between which the process may die. It also keeps the truth: which rid was executed, and how.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any, Final, cast

from msgspec.structs import replace

from bridge_core.host.ledger import LedgerLine
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.messages import Open
from bridge_server.backends.paper import PaperBackend
from bridge_server.backends.paper_ledger import Ledger
from bridge_server.core.ports import (
    Executed,
    Facts,
    Identity,
    Lost,
    Outcome,
    Rejected,
    Scan,
    Snapshot,
    Submission,
)
from tests.simulation.house import SYMBOLS, settings
from tests.simulation.world import Machine

__all__ = ["FAULTS", "Ground", "SimBroker"]

FAULTS: Final = (
    "lost after", "lost before", "raised after", "raised before", "unlisted", "hidden", "partial",
    "partial lost", "rejected",
)  # fmt: skip
_STEP: Final = Decimal("0.01")


class Ground:
    """What outlives every process: the broker's truth, what it hides yet, the next fault."""

    def __init__(self, settle_ms: int) -> None:
        self.settle_ms = settle_ms
        self.executed: dict[str, Executed] = {}
        self.begun: dict[str, int] = {}
        self.hidden: dict[int, int] = {}
        self.fault = ""
        self.on_begin: Callable[[Submission, LedgerLine], None] = lambda _s, _l: None
        self.on_executed: Callable[[Submission, Executed], None] = lambda _s, _o: None

    def hides(self, magic: int, now_ms: int) -> bool:
        """Whether the broker does not show this tag yet."""
        until = self.hidden.get(magic)
        if until is not None and now_ms >= until:
            del self.hidden[magic]
            return False
        return until is not None


class _Watched:
    """A ledger that tells the ground of each act; `given` is what the broker was asked."""

    def __init__(self, ledger: Ledger, broker: SimBroker) -> None:
        self._ledger, self._broker = ledger, broker

    def start(self, wall_ms: int, market_ms: int, said: dict[str, str | int]) -> None:
        self._ledger.start(wall_ms, market_ms, said)

    def begin(self, submission: Submission, wall_ms: int, market_ms: int) -> LedgerLine:
        broker = self._broker
        line = self._ledger.begin(broker.given or submission, wall_ms, market_ms)
        broker.ground.on_begin(submission, line)
        broker.machine.step("act")
        return line

    def end(self, begun: LedgerLine, wall_ms: int, outcome: Outcome) -> None:
        self._broker.machine.step("done")
        self._ledger.end(begun, wall_ms, outcome)


class SimBroker(PaperBackend):
    """`ports.Backend`; `folder` is the server's state folder."""

    def __init__(self, machine: Machine, ground: Ground, folder: Path) -> None:
        super().__init__(
            settings().paper, symbols=SYMBOLS, folder=folder, base=folder, clock=machine.clock
        )
        self.machine = machine
        self.ground = ground
        self.settle_ms = ground.settle_ms
        self.given: Submission | None = None
        self._asked: Submission | None = None

    def start(self) -> Identity:
        """Open the account's file."""
        identity = super().start()
        self._ledger = cast(Ledger, _Watched(self._ledger, self))
        return identity

    # --- acts --------------------------------------------------------------------------------

    def execute(self, submission: Submission) -> Outcome:
        """Carry it out, or fail as the ground says."""
        fault, self.ground.fault = self.ground.fault, ""
        self._asked, self.given = submission, None
        self.machine.step("call")
        answer = self._answer(submission, fault)
        self.machine.step("answered")
        return cast(Outcome, answer)

    def _answer(self, submission: Submission, fault: str) -> Any:
        late = submission.deadline.passed(self._clock.wall_ms(), self._clock.mono_ms())
        if late or not fault:
            return super().execute(submission)  # late: its own check says no
        self.machine.world.note(f"broker: {fault}")
        match fault:
            case "lost before":
                return self._unheard(submission)
            case "raised before":
                self._unheard(submission)
                raise ConnectionError("simulated")
            case "rejected":
                return self._refuse(submission)
            case "partial":
                return self._part(submission)
            case "partial lost":
                self._part(submission)
                return Lost(cause="simulated")
            case "hidden" if self.settle_ms:
                return self._hide(submission)
        return self._unsaid(super().execute(submission), fault)

    def _unsaid(self, outcome: Outcome, fault: str) -> Any:
        if not isinstance(outcome, Executed):
            return outcome  # nothing was done: the fault had nothing to take away
        match fault:
            case "lost after":
                return Lost(cause="simulated")
            case "raised after":
                raise ConnectionError("simulated")
            case "unlisted":
                return object()
        return outcome

    def _unheard(self, submission: Submission) -> Outcome:
        begun = self._ledger.begin(submission, self._clock.wall_ms(), self._book.market_ms)
        lost = Lost(cause="simulated")
        self._ledger.end(begun, self._clock.wall_ms(), lost)
        return lost

    def _refuse(self, submission: Submission) -> Outcome:
        begun = self._ledger.begin(submission, self._clock.wall_ms(), self._book.market_ms)
        said = Rejected(code=ReasonCode.NO_MONEY, facts=Facts(retcode=10019))
        self._ledger.end(begun, self._clock.wall_ms(), said)
        return said

    def _part(self, submission: Submission) -> Outcome:
        body = submission.body
        if not isinstance(body, Open) or "_" in body.type:
            return super().execute(submission)
        half = (Decimal(body.volume) / 2).quantize(_STEP, rounding=ROUND_DOWN)
        if half <= 0:
            return super().execute(submission)
        self.given = submission
        smaller = replace(submission, body=replace(body, volume=format(half, "f")))
        outcome = super().execute(smaller)
        if isinstance(outcome, Executed):
            return replace(outcome, status=Status.PARTIAL)
        return outcome

    def _hide(self, submission: Submission) -> Outcome:
        # Hidden before it is done: a snapshot between the two must not show it either.
        until = self.machine.world.now_ms + self.settle_ms * 9 // 10
        self.ground.hidden[submission.magic] = until
        outcome = super().execute(submission)
        if not isinstance(outcome, Executed):
            del self.ground.hidden[submission.magic]
            return outcome
        return Lost(cause="simulated")

    def _commit(self, *given: Any) -> Outcome:
        asked = self._asked
        assert asked is not None
        outcome = super()._commit(*given)
        if isinstance(outcome, Executed):
            self.ground.on_executed(asked, outcome)
        return outcome

    # --- what it shows ---------------------------------------------------------------------------

    def _shown(self, magic: int) -> bool:
        return not self.ground.hides(magic, self.machine.world.now_ms)

    def scan(self, since_wall_ms: int) -> Scan:
        """Return the records that show by now."""
        self.machine.step("scan")
        scan = super().scan(since_wall_ms)
        return replace(
            scan,
            positions=tuple(one for one in scan.positions if self._shown(one.magic)),
            orders=tuple(one for one in scan.orders if self._shown(one.magic)),
            deals=tuple(one for one in scan.deals if self._shown(one.magic)),
        )

    def snapshot(self) -> Snapshot:
        """Return the account without what is hidden."""
        shot = super().snapshot()
        if not self.ground.hidden:
            return shot
        return replace(
            shot,
            positions={t: one for t, one in shot.positions.items() if self._shown(one.magic)},
            orders={t: one for t, one in shot.orders.items() if self._shown(one.magic)},
        )
