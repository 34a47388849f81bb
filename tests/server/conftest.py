"""What the accounts of these tests leave behind is removed with the last of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.running import remove_template


@pytest.fixture(scope="session", autouse=True)
def _no_account_is_left_behind() -> Iterator[None]:
    yield
    remove_template()
