"""Terminal workers that are forked from a warm process, for tests that kill them by the hundred.

The worker and all that it does are the product's own; only its start is another one. A fresh
interpreter takes most of a second, a fork some milliseconds. (That a worker can be spawned is what
every other test of the MetaTrader 5 path shows.)
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, Final

from bridge_server.backends import mt5_process

__all__ = ["keep_workers_warm"]

_BYTES_MAX: Final = 65_536


def keep_workers_warm(close: Callable[[], None]) -> None:
    """Fork the workers' parent, and let the link have its workers from there.

    Call it before this process has a thread or a file that a worker must not have; `close` closes
    in the other process what it must not keep open.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        close()
        _serve(theirs)
    theirs.close()
    context = SimpleNamespace(Pipe=Pipe, Process=lambda **how: _Worker(ours, **how))
    vars(mt5_process)["multiprocessing"] = SimpleNamespace(get_context=lambda _how: context)


class _Worker:
    """What the link needs of `multiprocessing.Process`."""

    def __init__(
        self, control: socket.socket, *, target: Callable[..., None],
        args: tuple[Connection, Any, Any], **_named: object,
    ) -> None:  # fmt: skip
        self._control = control
        self._pipe, *self._args = args
        self._target = target
        self.pid = 0
        self.sentinel = -1

    def start(self) -> None:
        request = pickle.dumps((self._target, self._args))
        socket.send_fds(self._control, [request], [self._pipe.fileno()])
        said, (self.sentinel,), _, _ = socket.recv_fds(self._control, 64, 1)
        self.pid = int(said)

    def is_alive(self) -> bool:
        return not self._ended(0)

    def _ended(self, seconds: float) -> bool:
        return bool(select.select([self.sentinel], [], [], seconds)[0])

    def join(self, seconds: float) -> None:
        self._ended(seconds)

    def kill(self) -> None:
        try:
            signal.pidfd_send_signal(self.sentinel, signal.SIGKILL)
        except ProcessLookupError:
            return

    def close(self) -> None:
        os.close(self.sentinel)


def _serve(control: socket.socket) -> None:
    """Be the workers' parent, until the server has ended; never returns."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)  # of SIGCHLD: nobody has to be reaped
    while True:
        request, (pipe,), _, _ = _next(control)
        pid = os.fork()
        if pid == 0:
            control.close()
            _be_worker(request, pipe)
        os.close(pipe)
        handle = os.pidfd_open(pid)
        socket.send_fds(control, [str(pid).encode()], [handle])
        os.close(handle)


def _next(control: socket.socket) -> Any:
    found = socket.recv_fds(control, _BYTES_MAX, 1)
    if not found[0]:
        os._exit(0)
    return found


def _be_worker(request: bytes, pipe: int) -> None:
    try:
        target, args = pickle.loads(request)
        target(Connection(pipe), *args)
    except BaseException:  # noqa: BLE001  a child must not run on in its parent's loop
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(0)
