"""Processes that can be killed by the hundred: one warm process that forks what a test asks for.

Starting an interpreter costs a second; the zygote has imported everything once, has no thread, no
ZeroMQ context and no database, and forks a child in a few milliseconds. Children die for real.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

__all__ = ["Channel", "Child", "Zygote"]

ROOT: Final = Path(__file__).resolve().parents[2]
_BYTES_MAX: Final = 65_536
_PATIENCE_S: Final = 60.0
_WARM: Final = ("tests.support.doomed_server", "tests.support.doomed_connector")


class Channel:
    """A child's way to say something, one JSON object a line; its end is the child's death."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""
        self._lock = threading.Lock()

    def say(self, **what: object) -> None:
        """Tell the other side; nobody listening is no error."""
        with self._lock:
            try:
                self._end.sendall(json.dumps(what).encode() + b"\n")
            except OSError:
                return

    def hear(self, timeout_s: float) -> dict[str, Any] | None:
        """Return what comes next; None at its end.

        Raises:
            TimeoutError: nothing came in time.
        """
        until = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            self._end.settimeout(max(0.001, until - time.monotonic()))
            try:
                got = self._end.recv(_BYTES_MAX)
            except TimeoutError:
                raise TimeoutError("it neither spoke nor died") from None
            except ConnectionResetError:
                got = b""
            if not got:
                return None
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def close(self) -> None:
        """Hang up."""
        self._end.close()


class Child:
    """One forked process, as its test sees it. Leaving its `with` block kills it."""

    def __init__(self, zygote: Zygote, pid: int, channel: Channel, errors: Path) -> None:
        self.pid = pid
        self.errors = errors
        self.said: dict[str, dict[str, Any]] = {}
        self._zygote = zygote
        self._channel = channel
        self._status: int | None = None
        self._silent = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def expect(self, word: str, seconds: float = _PATIENCE_S) -> dict[str, Any]:
        """Wait until it has said this word."""
        while word not in self.said and not self._silent:
            self._hear(seconds)
        assert word in self.said, f"it ended before {word!r}: {self.trouble()}"
        return self.said[word]

    def says(self, word: str) -> bool:
        """Wait until it has said this word, or has ended without it."""
        while word not in self.said and not self._silent:
            self._hear(_PATIENCE_S)
        return word in self.said

    def gone(self, seconds: float) -> bool:
        """Return whether it has ended, after listening for so long."""
        until = time.monotonic() + seconds
        while not self._silent and time.monotonic() < until:
            try:
                self._take(self._channel.hear(max(0.001, until - time.monotonic())))
            except TimeoutError:
                break
        return self._silent

    def _hear(self, seconds: float) -> dict[str, Any] | None:
        try:
            heard = self._channel.hear(seconds)
        except TimeoutError as error:
            raise AssertionError(f"{error}; said {list(self.said)}: {self.trouble()}") from None
        self._take(heard)
        return heard

    def _take(self, heard: dict[str, Any] | None) -> None:
        self._silent = heard is None
        if heard is not None:
            self.said[heard["word"]] = heard

    def ended(self, seconds: float = _PATIENCE_S) -> int:
        """Wait for its end; return its exit code, or minus the signal that killed it."""
        while self._status is None and self._hear(seconds) is not None:
            pass
        if self._status is None:
            self._status = self._zygote.reap(self.pid)
        return os.waitstatus_to_exitcode(self._status)

    def died(self, seconds: float = _PATIENCE_S) -> None:
        """Wait for its death by SIGKILL; fail if it ended otherwise."""
        code = self.ended(seconds)
        assert code == -signal.SIGKILL, f"exit code {code}: {self.trouble()}"

    def signal(self, number: int) -> None:
        """Send it a signal, if it has not been reaped."""
        if self._status is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL it, if it still lives, and wait for its end."""
        self.signal(signal.SIGKILL)
        self.ended()
        self._channel.close()

    def trouble(self) -> str:
        """Return the end of what it wrote to stderr."""
        text = self.errors.read_text("utf-8", "replace") if self.errors.exists() else ""
        return text[-2_000:]


class Zygote:
    """The test's end: asks for children. Usable from several threads."""

    def __init__(self, preload: Path | None = None, warm: Sequence[str] = ()) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        # In a session of its own: Ctrl-C reaches the test, which ends it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.zygote", str(theirs.fileno()), *warm],
            cwd=ROOT, env=environment, pass_fds=(theirs.fileno(),), start_new_session=True,
        )  # fmt: skip
        theirs.close()
        self._control = ours
        self._control.settimeout(60)
        self._turn = threading.Lock()

    def spawn(self, module: str, given: dict[str, Any], errors: Path) -> Child:
        """Fork a child that runs `module.run(given, channel)`."""
        mine, its = socket.socketpair()
        request = {"do": "spawn", "module": module, "given": given, "errors": str(errors)}
        answer = self._ask(request, (its.fileno(),))
        its.close()
        return Child(self, answer["pid"], Channel(mine), errors)

    def rehearse(self, module: str, given: dict[str, Any]) -> None:
        """Let it do once, by `module.rehearse(given)`, what each of its children would do anew."""
        trouble = self._ask({"do": "rehearse", "module": module, "given": given})["trouble"]
        assert not trouble, trouble

    def reap(self, pid: int) -> int:
        """Return the wait status of a child whose channel has ended."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            status = self._ask({"do": "reap", "pid": pid})["status"]
            if status is not None:
                return int(status)
            assert time.monotonic() < until, f"process {pid} does not end"
            time.sleep(0.001)

    def _ask(self, request: dict[str, Any], descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        with self._turn:
            socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
            answer: dict[str, Any] = json.loads(self._control.recv(_BYTES_MAX))
            return answer

    def close(self) -> None:
        """End it, and with it every child that is left."""
        self._process.terminate()
        self._process.wait(20)
        self._control.close()


# --- the zygote's own process ------------------------------------------------------------------


class _Nursery:
    """The loop of the zygote: forks, reaps, and kills what is left at its end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._living: set[int] = set()
        self._parent = os.getppid()

    def serve(self) -> None:
        while os.getppid() == self._parent:
            if not select.select([self._control], [], [], 1.0)[0]:
                continue
            raw, descriptors, _, _ = socket.recv_fds(self._control, _BYTES_MAX, 1)
            if not raw:
                break
            request = json.loads(raw)
            answer: dict[str, int | str | None]
            if request["do"] == "spawn":
                answer = {"pid": self._fork(request, descriptors[0])}
            elif request["do"] == "rehearse":
                answer = {"trouble": _rehearse(request)}
            else:
                answer = {"status": self._reap(request["pid"])}
            self._control.send(json.dumps(answer).encode())

    def _fork(self, request: dict[str, Any], descriptor: int) -> int:
        pid = os.fork()
        if pid == 0:
            self._control.close()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _live(request, Channel(socket.socket(fileno=descriptor)))
        os.close(descriptor)
        self._living.add(pid)
        return pid

    def _reap(self, pid: int) -> int | None:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done == 0:
            return None
        self._living.discard(pid)
        return status

    def end(self) -> None:
        for pid in self._living:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _rehearse(request: dict[str, Any]) -> str:
    try:
        importlib.import_module(request["module"]).rehearse(request["given"])
    except Exception:  # noqa: BLE001  the test has to see it
        return traceback.format_exc()
    _freeze()
    return ""


def _freeze() -> None:
    gc.collect()
    gc.freeze()  # children share these pages


def _live(request: dict[str, Any], channel: Channel) -> None:
    """Be the child; never returns."""
    code = 70
    try:
        errors = os.open(request["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(errors, 2)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        code = importlib.import_module(request["module"]).run(request["given"], channel)
    except BaseException:  # noqa: BLE001  a child must not run on in its parent's loop
        traceback.print_exc()
    finally:
        os._exit(code)


def _main() -> None:
    for name in (*_WARM, *sys.argv[2:]):
        importlib.import_module(name)
    _freeze()
    nursery = _Nursery(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        nursery.serve()
    finally:
        nursery.end()


if __name__ == "__main__":
    _main()
