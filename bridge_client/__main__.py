"""`python -m bridge_client` is `ztb`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Final

from bridge_client.cli.main import main as run

__all__ = ["main"]

_PATIENCE_S: Final = 3.0
_INTERRUPTED: Final = 130


def _on_interrupt(_number: int, _frame: FrameType | None) -> None:
    # Closing sockets and journals in good order may wait for something; a person who has pressed
    # Ctrl-C does not. Every journal is made to be left at any moment.
    timer = threading.Timer(_PATIENCE_S, os._exit, (_INTERRUPTED,))
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def main() -> int:
    """Run `ztb` as a process of its own: Ctrl-C ends it within three seconds."""
    signal.signal(signal.SIGINT, _on_interrupt)
    return run()


if __name__ == "__main__":
    sys.exit(main())
