"""Every scenario's cases, one by one; after each the promises S1 to S7."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.language import Case, load_all, run
from tests.acceptance.world import Stage, World


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as one:
        yield one


def _params() -> list[object]:
    marks = {True: [pytest.mark.long], False: []}
    return [pytest.param(one, id=one.name, marks=marks[one.long]) for one in load_all()]


@pytest.mark.parametrize("case", _params())
def test_scenario(case: Case, stage: Stage, record_property: Callable[[str, object], None]) -> None:
    record_property("case", case.name)
    with World(stage) as world:
        run(case, world)
