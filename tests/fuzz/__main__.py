"""`make fuzz`: every parser of tokens, bodies, replies, events and files under atheris.

python -m tests.fuzz                      a fixed number of runs of each target, seeds fixed
python -m tests.fuzz body --runs 1000000  one target for longer
python -m tests.fuzz --keep               add what reached new code to the corpus
python -m tests.fuzz --plain              without atheris: the same changes, no guidance
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz.every import TARGETS
from tests.fuzz.mutator import mutated
from tests.fuzz.planted import PLANTED
from tests.fuzz.target import CORPUS, Target, corpus_of, held

__all__ = ["main"]

ROOT: Final = Path(__file__).resolve().parents[2]
RUNS: Final = 100_000
_LINE_BYTES_MAX: Final = 500
_CORPUS_BYTES_MAX: Final = 20_000
_FLAGS: Final = (
    "-max_len=6000", "-len_control=0", "-timeout=20", "-rss_limit_mb=1024", "-verbosity=0",
    "-print_final_stats=1",
)  # fmt: skip


class Job(NamedTuple):
    """One target being fuzzed in a process of its own."""

    target: Target
    process: subprocess.Popen[str]
    folder: Path
    begun: float


def _start(target: Target, runs: int, seed: int, folder: Path) -> Job:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, data in enumerate(dict.fromkeys((*target.seeds, *corpus_of(target.name)))):
        (corpus / f"{number:05}").write_bytes(data)
    command = [
        sys.executable, "-m", "tests.fuzz.guided", target.name,
        f"-runs={runs // target.slowness}", f"-seed={seed}", f"-artifact_prefix={folder}/",
        *_FLAGS, str(corpus),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return Job(target, process, folder, time.monotonic())


def _end(job: Job) -> bool:
    """Wait for its end; say how it went and return whether it is clean."""
    said, _ = job.process.communicate()
    seconds = time.monotonic() - job.begun
    found = [path for path in job.folder.iterdir() if path.is_file()]
    if job.process.returncode == 0 and not found:
        done = next((x.split()[-1] for x in said.splitlines() if "executed_units" in x), "?")
        print(f"{job.target.name}: {done} runs in {seconds:.1f} s, no finding", flush=True)
        return True
    print(said)
    print(f"{job.target.name}: FOUND; regress it with this line in corpus/{job.target.name}.txt:")
    for path in found:
        print(path.read_bytes().hex())
    return False


def guided(targets: Sequence[Target], runs: int, seed: int, *, jobs: int, keep: bool) -> bool:
    """Fuzz each target, so many at a time; return whether nothing was found."""
    clean = True
    waiting, running = list(targets), list[Job]()
    with tempfile.TemporaryDirectory(prefix="ztb-fuzz-") as name:
        while waiting or running:
            while waiting and len(running) < jobs:
                target = waiting.pop(0)
                running.append(_start(target, runs, seed, Path(name) / target.name))
            job = running.pop(0)
            clean &= _end(job)
            if keep:
                _keep(job.target, job.folder / "corpus")
    return clean


def _keep(target: Target, folder: Path) -> None:
    # libFuzzer names what it adds by its hash; shortest first, since those say most for a line.
    new = [path.read_bytes() for path in folder.iterdir() if len(path.name) == 40]
    known = corpus_of(target.name)
    size, lines = 0, list[str]()
    for data in (*known, *sorted(set(new) - {*known, *target.seeds}, key=lambda d: (len(d), d))):
        size += 2 * len(data) + 1
        if data in known or (len(data) <= _LINE_BYTES_MAX and size <= _CORPUS_BYTES_MAX):
            lines.append(data.hex() + "\n")
    (CORPUS / f"{target.name}.txt").write_text("".join(lines), encoding="ascii")


def plain(targets: Iterable[Target], runs: int, seed: int) -> bool:
    """Run the kept corpus and so many changes of it, without guidance."""
    for target in targets:
        pool = tuple(dict.fromkeys((*target.seeds, *corpus_of(target.name))))
        rng = random.Random(seed)
        data = b""
        try:
            for data in pool:
                held(target, data)
            for _ in range(runs // target.slowness):
                data = mutated(rng.choice(pool), rng, pool)
                held(target, data)
        except BaseException:
            print(f"{target.name}: FOUND with {data.hex()}", flush=True)
            raise
        done = runs // target.slowness
        print(f"{target.name}: {len(pool)} kept, {done} runs, no finding", flush=True)
    return True


def main(words: list[str] | None = None) -> int:
    """Return 1 if anything was found, 2 if atheris is not there."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args(words)
    known = {**TARGETS, **PLANTED}
    unknown = [name for name in args.targets if name not in known]
    if unknown:
        parser.error(f"no target {unknown[0]}; there are {', '.join(TARGETS)}")
    targets = [known[name] for name in args.targets]
    if args.plain:
        return 0 if plain(targets, args.runs, args.seed) else 1
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install 'atheris>=3' (Linux), or use --plain")
        return 2
    clean = guided(targets, args.runs, args.seed, jobs=args.jobs, keep=args.keep)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
