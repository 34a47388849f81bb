"""One target under atheris: `python -m tests.fuzz.guided NAME [libFuzzer's flags] FOLDER`.

A process of its own, since our modules must be instrumented while they are imported and libFuzzer
ends the process it runs in.
"""

from __future__ import annotations

import random
import sys

import atheris

from tests.fuzz.mutator import mutated

with atheris.instrument_imports(include=["bridge_core", "bridge_server", "bridge_client"]):
    from tests.fuzz.every import TARGETS
    from tests.fuzz.planted import PLANTED
    from tests.fuzz.target import held

__all__ = ["main"]

_OWN_SHARE = 0.7  # the rest of the changes are libFuzzer's, which knows no grammar


def main(words: list[str]) -> None:
    """Run until libFuzzer ends the process; a finding ends it with a code that is not 0."""
    target = {**TARGETS, **PLANTED}[words[0]]

    def change(data: bytes, size_max: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < _OWN_SHARE:
            return mutated(data, rng, target.seeds, size_max)
        return bytes(atheris.Mutate(data, size_max))

    atheris.Setup(
        [f"fuzz-{target.name}", *words[1:]],
        lambda data: held(target, data),
        custom_mutator=change,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
