"""No core file of a process that holds keys (a crash must not write them to a disk)."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["forbid_core_dumps"]

_PR_SET_DUMPABLE: Final = 4


def forbid_core_dumps() -> None:
    """Take away this process's right to leave a core file; there is no way back.

    The limit stops files. Where the kernel pipes cores into a program it ignores the limit, so on
    Linux the process also says that it may not be dumped; that keeps other processes of the same
    user from reading its memory, too. On Windows nothing is dumped unless an administrator asks.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  (POSIX only)

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
