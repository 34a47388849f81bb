"""The pytest plugin: the fixture `paper_bridge`. Nothing is loaded until a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Unpack

    from bridge_client.testing.bridge import PaperBridge
    from bridge_client.testing.conditions import Conditions
    from bridge_client.testing.prices import Prices

__all__ = ["paper_bridge"]


@pytest.fixture
def paper_bridge(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., PaperBridge]]:
    """Return a function that starts a paper server and returns its connected `PaperBridge`.

    Each is ended with the test, and its broker's ledger judged: a broken promise is an error of
    the test. `with paper_bridge(…) as bridge:` ends it earlier. docs/testing-your-strategy.md
    """
    with ExitStack() as opened:

        def make(prices: Prices = None, **conditions: Unpack[Conditions]) -> PaperBridge:
            from bridge_client.testing.bridge import PaperBridge  # noqa: PLC0415  (loads zmq)

            conditions.setdefault("folder", tmp_path_factory.mktemp("paper"))
            return opened.enter_context(PaperBridge(prices, **conditions))

        yield make
