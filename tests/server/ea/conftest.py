"""A live EA account in each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ea_account import EaHouse


@pytest.fixture
def house(tmp_path: Path) -> Iterator[EaHouse]:
    """One account, nothing started."""
    with EaHouse(tmp_path) as one:
        yield one
