"""What a test needs of the machine, and how it says so where that is missing."""

from __future__ import annotations

from typing import Final

import pytest

from tests.mql4.build import missing

__all__ = ["needs_compiler"]

# Skips; with ZTB_REQUIRE such a skip is a failure (tests/conftest.py).
needs_compiler: Final = pytest.mark.skipif(
    bool(missing()), reason=f"EA source ({missing() or 'all is there'})"
)
