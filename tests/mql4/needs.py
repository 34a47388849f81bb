"""What a test needs of the machine, and how it says so where that is missing."""

from __future__ import annotations

import os

import pytest

from tests.mql4.toolchain import MISSING, compiler

__all__ = ["needs_compiler"]


def needs_compiler() -> None:
    """Skips the test where there is no C++ compiler; an error if ZTB_REQUIRE is set."""
    if compiler() is not None:
        return
    reason = f"EA source ({MISSING})"
    if os.environ.get("ZTB_REQUIRE"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
