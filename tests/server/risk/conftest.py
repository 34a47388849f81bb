"""One account for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.running import Account, make_account


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return make_account(tmp_path)
