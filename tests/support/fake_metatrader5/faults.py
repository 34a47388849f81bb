"""What goes wrong in a call to the terminal, and where: scripted by a test.

    faults.script("order_send", EXECUTED, "kill_worker")            SIGKILL of who called
    faults.script("order_send", ACCEPTED, "error", code=-10002, execute="later", after_s=0.2)
    faults.script("*", BEFORE, "error", code=-10001)                sticky, until initialize
    faults.script("order_send", ANSWERED, "hang")                   until faults.release()
    faults.wait_reached(ANSWERED)                                   ... and act exactly there

Points: BEFORE: the terminal never gets the request. ACCEPTED: it has it, and the broker executes
"now", "later" (`after_s`) or "never", by the word of the fault. EXECUTED: the broker is done, no
answer is formed. ANSWERED: the answer is formed, then lost or altered. A call that is no trade
passes them all as well.

Kinds: error (code=, text=; -10002 with kept=True: -10001 follows, as after a pipe that was
disconnected; else -10004, as after one whose server died), hang (seconds=, none: until release()
or until the caller is gone), delay (seconds=), kill_terminal, kill_worker, kill_pid (pid=),
retcode (code=, comment=), none (the answer is None and the error Success), alter (change=: a
function of the answer), out_of_step (an answer of another call comes first: this one is read by
the next call, which takes it for its own if it is of the same name, and so on until initialize).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

__all__ = [
    "ACCEPTED",
    "ANSWERED",
    "BEFORE",
    "EXECUTED",
    "POINTS",
    "Execute",
    "Faults",
    "Later",
    "Script",
]

BEFORE: Final = "before"
ACCEPTED: Final = "accepted"
EXECUTED: Final = "executed"
ANSWERED: Final = "answered"
POINTS: Final = (BEFORE, ACCEPTED, EXECUTED, ANSWERED)

Execute = Literal["now", "later", "never"]
Kind = Literal[
    "error", "hang", "delay", "kill_terminal", "kill_worker", "kill_pid", "retcode", "none",
    "alter", "out_of_step",
]  # fmt: skip


@dataclass
class Script:
    """One fault. `times` of the calls it fits meet it, after the first `skip` did not."""

    name: str
    point: str
    kind: Kind
    times: int = 1
    skip: int = 0
    code: int = 0
    text: str | None = None
    kept: bool = False
    seconds: float | None = None
    pid: int = 0
    comment: str = ""
    execute: Execute = "now"
    after_s: float = 0.1
    change: Callable[[Any], Any] = field(default=lambda value: value)
    when: Callable[[dict[str, Any]], bool] = field(default=lambda args: True)

    def __post_init__(self) -> None:
        assert self.point in POINTS, self.point
        assert self.kind in get_args(Kind), self.kind
        assert self.execute in get_args(Execute), self.execute
        assert self.point == ACCEPTED or self.execute == "now", "only at ACCEPTED is there a choice"


class Faults:
    """Thread-safe: a test adds, the terminal's threads take away."""

    def __init__(self) -> None:
        self._scripts: list[Script] = []
        self._reached: list[tuple[str, str]] = []
        self._seen = 0
        self._changed = threading.Condition()
        self._released = threading.Event()

    def script(self, name: str, point: str, kind: Kind, **how: Any) -> Script:
        """Let a fault happen in the next calls of a function ("*": of any)."""
        one = Script(name, point, kind, **how)
        with self._changed:
            self._scripts.append(one)
            self._released.clear()
        return one

    def calm(self) -> None:
        """Forget every fault that has not happened yet, and let what hangs go on."""
        with self._changed:
            self._scripts.clear()
        self.release()

    def release(self) -> None:
        """Let every call go on that hangs."""
        self._released.set()

    def wait_reached(self, point: str, name: str = "order_send", seconds: float = 10.0) -> None:
        """Wait until a call meets a fault at that point (each time is waited for once)."""
        with self._changed:
            come = self._changed.wait_for(lambda: (point, name) in self._reached, seconds)
            assert come, f"no fault was met at {point} of {name}: {self._reached}"
            self._reached.remove((point, name))

    # --- the terminal's side --------------------------------------------------------------------

    def meet(self, name: str, point: str, args: dict[str, Any]) -> Script | None:
        """Return the fault of this call at this point, if there is one; it is used up."""
        with self._changed:
            for one in self._scripts:
                fits = one.name in (name, "*") and one.point == point and one.when(args)
                if not fits or not one.times:
                    continue
                if one.skip:
                    one.skip -= 1
                    continue
                one.times -= 1
                self._reached.append((point, name))
                self._changed.notify_all()
                return one
        return None

    def wait(self, seconds: float) -> bool:
        """Wait that long, or less if all is released: then True."""
        return self._released.wait(seconds)


class Later(threading.Timer):
    """What the broker does after a while; whoever looks after that finds it done.

    A crowded machine's timer comes late, and time passes for a broker nonetheless.
    """

    def __init__(self, after_s: float, act: Callable[[], object]) -> None:
        super().__init__(after_s, self._do)
        self.daemon = True
        self._due = time.monotonic() + after_s
        self._act: Callable[[], object] | None = act
        self._acting = threading.Lock()

    def look(self) -> None:
        """Let it be done if it is due."""
        if time.monotonic() >= self._due and not self.finished.is_set():
            self._do()

    def _do(self) -> None:
        with self._acting:
            act, self._act = self._act, None
            if act is not None:
                act()
