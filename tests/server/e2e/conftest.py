"""One account for each test, and a server with a scripted broker in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.raw_client import RawClient
from tests.support.running import Account, Running, make_account


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return make_account(tmp_path)


@pytest.fixture
def running(account: Account) -> Iterator[Running]:
    with Running(account) as server:
        yield server


@pytest.fixture
def trader(running: Running) -> RawClient:
    return running.ready()
