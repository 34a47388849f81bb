"""One worker process as its owner sees it: spawn, ask with a deadline, end for certain.

What could not be answered in time ends the process. Only when it is dead is the pipe read to its
end, so what is not in it was never said, and "it had not begun" is proof.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Final, NamedTuple

from bridge_core.host.clock import Clock
from bridge_server.backends.mt5_pipe import Told, WorkerSpec, read_told
from bridge_server.backends.mt5_worker import serve

__all__ = ["Heard", "WorkerProcess", "end_process"]

_GRACE_S: Final = 2.0
_DEATH_S: Final = 5.0
# A frozen process can stop in the middle of an answer; then only its death ends the read.
_OVERDUE_MS: Final = 1_000


class Heard(NamedTuple):
    """What came of a question: the answer, or why there is none. `begun` as the worker said."""

    told: Told | None
    begun: bool
    why: str = ""


class WorkerProcess:
    """Spawned at once. One thread asks at a time; `kill` may come from any."""

    def __init__(self, spec: WorkerSpec, load: Callable[[], object], clock: Clock) -> None:
        self._clock = clock
        self._due_mono = 0
        self._closed = False
        self._reaping = threading.Lock()
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, spec, load), name="mt5-worker", daemon=True
        )
        try:
            self._process.start()
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid or 0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        with self._reaping:
            return not self._closed and self._process.is_alive()

    def hear(self, number: int, patience_ms: int) -> Heard:
        """Wait for the answer with this number; without one in time the process is ended."""
        return self._hear(number, patience_ms, patience_ms)

    def ask(self, data: bytes, number: int, patience_ms: int, begun_ms: int = 0) -> Heard:
        """Ask one question, and wait; from the word "begun" on it may take `begun_ms`.

        `data` is the question's bytes, `number` its number.
        """
        # A frozen worker does not read either, and a long question does not fit into the pipe.
        self._due_mono = self._clock.mono_ms() + patience_ms + _OVERDUE_MS
        try:
            self._pipe.send_bytes(data)
        except OSError:
            self._due_mono = 0
            return self._give_up(number, begun=False, why="the worker is gone")
        return self._hear(number, patience_ms, begun_ms)

    def _hear(self, number: int, patience_ms: int, begun_ms: int) -> Heard:
        begun, patience = False, patience_ms
        due = self._clock.mono_ms() + patience
        try:
            while True:
                self._due_mono = due + _OVERDUE_MS
                left_s = max(0, due - self._clock.mono_ms()) / 1000
                ready = wait([self._pipe, self._process.sentinel], left_s)
                if not ready:
                    why = f"no answer in {patience / 1000:g} s"
                    return self._give_up(number, begun=begun, why=why)
                if self._pipe not in ready:
                    return self._give_up(number, begun=begun, why="the worker died")
                told = read_told(self._pipe.recv_bytes())
                if told is None or told.number != number:
                    why = "an answer to another question"
                    return self._give_up(number, begun=True, why=why)
                if not _is_only_begun(told):
                    return Heard(told, begun or told.begun)
                begun, patience = True, begun_ms
                due = self._clock.mono_ms() + patience
        except (EOFError, OSError):
            return self._give_up(number, begun=begun, why="the worker died")
        finally:
            self._due_mono = 0

    def _give_up(self, number: int, *, begun: bool, why: str) -> Heard:
        """End the process, then read what it had still said."""
        dead = self.kill()
        if not dead:  # what it may yet do, nobody knows
            return Heard(None, begun=True, why=f"{why}, and it cannot be ended")
        try:
            while self._pipe.poll(0):
                told = read_told(self._pipe.recv_bytes())
                if told is not None and told.number == number and not _is_only_begun(told):
                    return Heard(told, begun or told.begun, why)
                begun = True
        except (EOFError, OSError):  # a last word that was cut off: it had begun to say it
            return Heard(None, begun, why)
        return Heard(None, begun, why)

    def kill_if_overdue(self) -> None:
        """End the process if an answer got stuck on its way; the asker then finds it dead."""
        due = self._due_mono
        if due and self._clock.mono_ms() > due:
            self.kill()

    def kill(self) -> bool:
        """End the process now; return whether it is dead and reaped."""
        with self._reaping:
            if self._closed:
                return True
            self._process.kill()
            self._process.join(_DEATH_S)
            return not self._process.is_alive()

    def close(self, *, kindly: bool) -> bool:
        """Let go: the end of the pipe ends an idle worker by itself; one that stays is killed."""
        if kindly:
            self._pipe.close()
            with self._reaping:
                if not self._closed:
                    self._process.join(_GRACE_S)
        dead = self.kill()
        self._pipe.close()
        with self._reaping:
            if dead and not self._closed:
                self._closed = True
                self._process.close()
        return dead


def _is_only_begun(told: Told) -> bool:
    return told.begun and not told.answers


def end_process(pid: int) -> None:
    """End a process that is not our child, if it is still there and ours to end."""
    try:
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # Windows: TerminateProcess
    except OSError:
        return
