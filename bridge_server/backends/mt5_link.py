"""The link to MetaTrader 5: owns one worker process, watches every call, kills what hangs.

Any thread may call; one call at a time goes over the pipe. There is no retry here: a call whose
answer did not come has no answer, and a trade among them is for the caller to resolve. The link's
own thread alone connects; while it does, every call is answered at once.
"""

from __future__ import annotations

import atexit
import threading
from typing import Final

from msgspec import Struct

from bridge_core.host.clock import Clock
from bridge_core.host.filelock import FileLock
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.errors import ConfigError
from bridge_server.backends.mt5_connect import (
    LOG_IN,
    LOST_CODES,
    OUT_OF_STEP,
    Failure,
    Joined,
    Pace,
    Retry,
    lost_why,
)
from bridge_server.backends.mt5_keeper import Keeper, LinkSpec
from bridge_server.backends.mt5_pins import wrong_account
from bridge_server.backends.mt5_pipe import Answer, Ask, CallOf, pack
from bridge_server.backends.mt5_process import Heard
from bridge_server.backends.mt5_status import TRADE, LinkStatus, StatusBook
from bridge_server.core.executor import ExecutorState

__all__ = ["Answer", "CallOf", "LinkSpec", "LinkStatus", "Mt5Link", "Pace", "Sent"]

_JOIN_S: Final = 0.2
_START_S: Final = 30.0
_ABANDON_TRIES: Final = 50


class Sent(Struct, frozen=True, kw_only=True):
    """What became of one trade request.

    `begun` False is proof that `order_send` was not called, and `refusal` says why. `begun` True
    with an answer: the package's own word (-2, -8 and -10004 among them still mean "not sent").
    `begun` True without one: the worker died in the call or was ended; nobody knows.
    """

    begun: bool
    answer: Answer | None = None
    refusal: Refusal | None = None
    why: str = ""


class Mt5Link:
    """Calls in, answers out; connects, watches and replaces the worker in its own thread."""

    def __init__(self, spec: LinkSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._pace = spec.pace
        self._book = StatusBook(spec.pace, clock)
        self._retry = Retry(spec.pace)
        self._keeper = Keeper(spec, clock, self._book)
        # Who holds the turn may ask the worker; while it is not up, the link's thread alone may.
        self._turn = threading.Lock()
        self._up = False
        self._up_mono = 0
        self._looked_mono = 0
        self._lock: FileLock | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._joined = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mt5-link", daemon=True)

    @property
    def status(self) -> LinkStatus:
        """Return how it stands now."""
        return self._book.read()

    def about(self) -> ExecutorState:
        """Return the hop as HEALTH and GET_LIMITS tell it."""
        return self._book.about()

    def self_test(self) -> bool:
        """Return True: the pipe is private, no stranger can come in."""
        return True

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the worker; the connection is made in the background.

        Raises:
            ConfigError: the package cannot be loaded, or another server has this terminal.
        """
        self._take_lock()
        # A call that hangs must not keep the interpreter alive at its end.
        atexit.register(self._abandon)
        self._thread.start()
        self._keeper.greeted.wait(_START_S)
        if self._keeper.unusable:
            self.close()
            raise ConfigError("CONFIG", self._keeper.unusable)

    def _take_lock(self) -> None:
        if self._spec.lock is None:
            return
        self._lock = FileLock(self._spec.lock, "ztb-server")
        try:
            self._lock.acquire()
        except ConfigError as error:
            raise ConfigError(
                "CONFIG",
                f"{self._spec.path} has a server already ({error.detail}): "
                "one folder and one server per terminal",
            ) from None

    def wait(self, timeout_s: float) -> bool:
        """Wait for the first connection, at most so long; return whether there is one."""
        return self._joined.wait(timeout_s)

    def close(self) -> None:
        """End the worker and the thread; a call under way ends without an answer."""
        self._stopping.set()
        self._wake.set()
        kindly = False
        if self._turn.acquire(blocking=False):
            kindly, self._up = self._up, False  # an idle worker may say goodbye to the terminal
            self._turn.release()
        if not kindly:
            self._keeper.kill()
        while self._thread.is_alive():
            self._thread.join(_JOIN_S)
            if self._thread.is_alive():  # it may have started another one just now
                self._keeper.kill()
        self._keeper.close(kindly=kindly)
        if self._lock is not None:
            self._lock.release()
        self._book.waiting("the link is closed")
        atexit.unregister(self._abandon)

    def _abandon(self) -> None:
        self._stopping.set()
        self._wake.set()
        # It ignores SIGTERM, so one that is started just now would be waited for without end.
        for _ in range(_ABANDON_TRIES):
            self._keeper.kill()
            if not self._thread.is_alive():
                break
            self._thread.join(_JOIN_S)

    # --- asking --------------------------------------------------------------------------------

    def call(self, name: str, *args: object, **kwargs: object) -> Answer:
        """Call one function that reads; ends within MT5_READ_MS_MAX, answer or not."""
        return self.calls(CallOf(name, args, kwargs))[0]

    def calls(self, *calls: CallOf) -> list[Answer]:
        """Call several functions that read, in one trip and with nothing in between."""
        with self._turn:
            answers = self._read("CALLS", calls)
        return answers if len(answers) == len(calls) else answers[:1] * len(calls)

    def beat(self) -> LinkStatus:
        """Look at terminal and account now and compare them with the pinned ones."""
        with self._turn:
            self._look()
        return self.status

    def trade(self, request: dict[str, object], deadline: Deadline) -> Sent:
        """Hand one trade request to the worker, which calls `order_send` at most once.

        Right before the call the worker compares terminal and account with the pinned ones and
        reads both clocks.
        """
        with self._turn:
            if not self._up:
                refusal = Refusal(ReasonCode.BROKER_DOWN, limit="terminal", value=self.status.why)
                return Sent(begun=False, refusal=refusal, why=self.status.why)
            ask = Ask(
                number=self._keeper.number(), verb="TRADE", request=request,
                wall_ms=deadline.wall_ms, mono_ms=deadline.mono_ms,
            )  # fmt: skip
            try:
                data = pack(ask)
            except Exception as error:  # noqa: BLE001  whatever cannot be said was not sent
                why = f"the request is no plain data: {type(error).__name__}"
                return Sent(begun=False, refusal=Refusal(ReasonCode.BODY, value=why), why=why)
            sent = _sent(self._exchange(TRADE, ask.number, data))
            if not sent.begun:  # what stopped it is to be seen at once
                self._looked_mono = -self._pace.beat_ms
                self._wake.set()
            return sent

    def _read(self, verb: str, calls: tuple[CallOf, ...] = ()) -> list[Answer]:
        """Ask what only reads; the caller has the turn. One answer at least."""
        if not self._up:
            return [Answer(ok=False, text=f"connecting: {self.status.why}")]
        ask = Ask(number=self._keeper.number(), verb=verb, calls=calls)
        what = ",".join(one.name for one in calls[:3]) or "a look at terminal and account"
        try:
            data = pack(ask)
        except Exception as error:  # noqa: BLE001  our own mistake, told as the package tells its own
            return [Answer(ok=False, text=f"an argument is no plain data: {type(error).__name__}")]
        heard = self._exchange(what, ask.number, data)
        if heard.told is None or not heard.told.answers:
            return [Answer(ok=False, text=heard.why or "no answer")]
        return list(heard.told.answers)

    def _exchange(self, what: str, number: int, data: bytes) -> Heard:
        """Ask the worker and judge the connection by how it went; the caller has the turn."""
        process = self._keeper.process
        assert process is not None
        self._book.busy(what)
        begun_ns = self._clock.mono_ns()
        trade_ms = self._pace.trade_ms if what == TRADE else 0
        heard = process.ask(data, number, self._pace.read_ms, trade_ms)
        told = heard.told
        ok = told is not None and any(one.ok for one in told.answers)
        self._book.idle(ok=ok, ms=(self._clock.mono_ns() - begun_ns) / 1_000_000)
        if heard.why:
            self._fall(f"{heard.why} to {what}: a new worker is started", spoilt=True)
        elif told is not None:
            lost = next((one for one in told.answers if one.code in LOST_CODES), None)
            if lost is not None:
                self._fall(lost_why(lost), spoilt=lost.code == OUT_OF_STEP)
        return heard

    def _fall(self, why: str, *, spoilt: bool) -> None:
        self._up = False
        self._keeper.spoilt = self._keeper.spoilt or spoilt
        self._retry.lasted(self._clock.mono_ms() - self._up_mono)
        self._book.waiting(why)
        self._wake.set()

    def _look(self) -> None:
        """Compare with the pinned account; the caller has the turn."""
        self._looked_mono = self._clock.mono_ms()
        answers = self._read("BEAT")
        if not self._up:
            return
        bad = next((one for one in answers if not one.ok), None)
        if bad is not None or len(answers) != 2:
            self._fall(lost_why(bad or answers[0]), spoilt=False)
            return
        self._see(answers[0].value, answers[1].value)

    def _see(self, terminal: object, account: object) -> None:
        assert isinstance(terminal, dict)
        assert isinstance(account, dict)
        if not account.get("login"):  # nobody's account is no other account
            self._fall(LOG_IN, spoilt=False)
            return
        wrong = wrong_account(self._spec.pins, self._spec.path, terminal, account)
        self._book.look(terminal, account, wrong)

    # --- the link's own thread -----------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
            except Exception as error:  # noqa: BLE001  a link whose thread is dead never comes back
                self._keeper.spoilt = True
                self._book.waiting(f"the link stumbled ({type(error).__name__}): it starts anew")
                self._up = False
                self._pause()

    def _step(self) -> None:
        if self._up:
            self._wake.wait(self._pace.beat_ms / 1000)
            self._wake.clear()
            self._watch()
            return
        found = self._keeper.join()
        self._keeper.greeted.set()
        failure = found if isinstance(found, Failure) else self._rise(found)
        if failure is not None:
            self._book.waiting(failure.why)
            self._pause(failure)

    def _pause(self, failure: Failure | None = None) -> None:
        self._stopping.wait(self._retry.pause_ms(failure) / 1000)

    def _watch(self) -> None:
        """Look at the account if nobody did lately; never beside a call."""
        if self._keeper.process is not None:
            self._keeper.process.kill_if_overdue()
        if self._turn.acquire(blocking=False):
            try:
                if self._clock.mono_ms() - self._looked_mono >= self._pace.beat_ms:
                    self._look()
            finally:
                self._turn.release()
        if not self._up:
            self._pause()

    def _rise(self, joined: Joined) -> Failure | None:
        with self._turn:
            if self._stopping.is_set():
                return Failure(0, "the link is closed")
            self._up, self._up_mono = True, self._clock.mono_ms()
            self._looked_mono = self._up_mono
            self._book.joined()
            self._see(joined.terminal, joined.account)
        self._joined.set()
        return None


def _sent(heard: Heard) -> Sent:
    told = heard.told
    if told is not None and told.refusal is not None:
        code, limit, value = told.refusal
        refusal = Refusal(ReasonCode(code), limit=limit, value=value)
        return Sent(begun=False, refusal=refusal, why=value)
    if told is not None and told.answers:
        return Sent(begun=True, answer=told.answers[0], why=heard.why)
    why = heard.why or "an answer without a word"
    if heard.begun:
        return Sent(begun=True, why=why)
    refusal = Refusal(ReasonCode.BROKER_DOWN, limit="terminal", value=why)
    return Sent(begun=False, refusal=refusal, why=why)
