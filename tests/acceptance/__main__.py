"""`python -m tests.acceptance [--long] [C 58 ...]`: run scenarios and print every case."""

from __future__ import annotations

import logging
import sys

from tests.acceptance.language import Case, load_all, run
from tests.acceptance.table import Result, by_case, by_group
from tests.acceptance.world import Stage, World


def _chosen(words: list[str]) -> list[Case]:
    wanted = {word for word in words if not word.startswith("-")}
    cases = [one for one in load_all() if "--long" in words or not one.long]
    if not wanted:
        return cases
    return [one for one in cases if wanted & {one.group, *(str(n) for n in one.numbers)}]


def _result(case: Case, stage: Stage) -> Result:
    try:
        with World(stage) as world:
            run(case, world)
    except Exception as error:  # noqa: BLE001  a table shows each failure and goes on
        return Result(case, passed=False, why=" ".join(str(error).split())[:200])
    return Result(case, passed=True)


def main(words: list[str]) -> int:
    """Run the chosen cases; return 0 when all passed."""
    logging.disable(logging.CRITICAL)
    with Stage() as stage:
        results = [_result(case, stage) for case in _chosen(words)]
    print("\n".join([*by_case(results), "", *by_group(results)]))
    return 0 if results and all(one.passed for one in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
