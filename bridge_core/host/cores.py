"""No core file of a process that holds keys (a crash must not write them to a disk)."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["forbid_core_dumps"]

_PR_SET_DUMPABLE: Final = 4


def forbid_core_dumps() -> None:
    """Let this process leave no core file.

    The limit stops files; only the soft one is lowered, so that what a strategy starts may still
    ask for its own. Where the kernel pipes cores into a program it ignores the limit, so on
    Linux the process also says that it may not be dumped; that keeps other processes of the same
    user from reading its memory, too. On Windows nothing is dumped unless an administrator asks.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  (POSIX only)

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
