"""Play schedules: `python -m tests.simulation 0:2000`, or one seed with its trace.

A seed that breaks a promise is printed, shrunk to its shortest failing prefix and shown; the same
command with that seed plays it again, exactly. `--bug NAME` plants one of the known bugs first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Final

from tests.simulation.bugs import BUGS, planted
from tests.simulation.schedule import STEPS, Outcome, run, shrink

__all__ = ["main"]

_TAIL: Final = 60


def main(argv: list[str]) -> int:
    """Return 0 if every promise held in every schedule."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="FIRST:END, or one seed (its whole trace is shown)")
    parser.add_argument("--steps", type=int, default=STEPS, help="play only so many steps")
    parser.add_argument("--bug", choices=list(BUGS), default="", help="plant a bug")
    parser.add_argument("--json", action="store_true", help="print one object at the end")
    given = parser.parse_args(argv)
    first, _, end = given.seeds.partition(":")
    seeds = range(int(first), int(end) if end else int(first) + 1)
    begun = time.perf_counter()
    played: list[Outcome] = []
    with planted(given.bug):
        for seed in seeds:
            played.append(run(seed, given.steps))
            if played[-1].broken:
                break
        if played and played[-1].broken and len(seeds) > 1:
            played[-1] = shrink(played[-1].seed)
    _report(played, time.perf_counter() - begun, as_json=given.json, whole=len(seeds) == 1)
    return 1 if played and played[-1].broken else 0


def _report(played: list[Outcome], seconds: float, *, as_json: bool, whole: bool) -> None:
    last = played[-1]
    if last.broken or whole:
        shown = last.trace if whole else last.trace[-_TAIL:]
        print("\n".join(shown), file=sys.stderr)
    facts = {
        "schedules": len(played),
        "orders": sum(one.orders for one in played),
        "submissions": sum(one.begun for one in played),
        "crashes": sum(one.crashes for one in played),
        "seconds": round(seconds, 1),
        "broken": last.broken,
        "seed": last.seed,
        "steps": last.steps,
    }
    if as_json:
        print(json.dumps(facts))
        return
    print("  ".join(f"{name} {value}" for name, value in facts.items() if name != "broken"))
    if last.broken:
        print(f"BROKEN {last.broken}")
        print(f"again: python -m tests.simulation {last.seed} --steps {last.steps}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
