"""A server on the paper broker that dies at a close: `python -m tests.support.dying_closer run …`.

The file `die` in its state folder says when, `before` the broker has the close or `after` it did;
it is removed by that, so that the next run lives.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from bridge_core.host.clock import Clock
from bridge_core.protocol.operations import Op
from bridge_server import cli, wiring
from bridge_server.backends.paper import PaperBackend
from bridge_server.core.ports import Backend, Outcome, Submission
from bridge_server.settings import ServerSettings
from bridge_server.wiring import Hop

__all__ = ["DyingPaper", "build"]


class DyingPaper(PaperBackend):
    """Dies at the first CLOSE while the file says so."""

    order: Path

    def execute(self, submission: Submission) -> Outcome:
        when = self.order.read_text("ascii") if self.order.exists() else ""
        if submission.op is not Op.CLOSE or not when:
            return super().execute(submission)
        self.order.unlink()
        if when == "after":
            super().execute(submission)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(10)
        raise AssertionError("it does not come back from here")


def build(settings: ServerSettings, base: Path, clock: Clock, hop: Hop) -> Backend:
    """Return the paper broker of an account, doomed."""
    del hop
    backend = DyingPaper(
        settings.paper,
        symbols=tuple(settings.allowed_symbols),
        folder=base / settings.state,
        base=base,
        clock=clock,
    )
    backend.order = base / settings.state / "die"
    return backend


if __name__ == "__main__":
    defaults = wiring.build_server.__kwdefaults__
    assert defaults is not None
    defaults["make_backend"] = build
    sys.exit(cli.main())
