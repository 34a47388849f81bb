"""Fuzzing: the kept corpus and fresh changes of it on every run, coverage-guided in the long ones.

In processes of their own: half-changed key files must not count as this session's secrets.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutator import mutated
from tests.fuzz.planted import PLANTED
from tests.fuzz.target import CORPUS, Target, corpus_of, held

ROOT = Path(__file__).resolve().parents[2]
WIRE = (
    "request", "authentic", "body", "reply", "reply_body", "event", "event_body", "record",
    "hop_message", "hop_rows", "hop_word",
)  # fmt: skip
FILES = ("keys", "ea_keys", "settings", "env", "halted", "prices")  # these open files: fewer runs
# There are wheels for one platform; on it, its absence is a skip that ZTB_REQUIRE minds.
_WHEELS = sys.platform == "linux" and platform.machine() == "x86_64"
ATHERIS = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="install atheris: pip install 'atheris>=3'" if _WHEELS else "platform: no atheris here",
)
SOAK = bool(os.environ.get("ZTB_SOAK"))


def _run(*words: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=seconds,
    )  # fmt: skip


def _fuzz(*words: str, seconds: float) -> str:
    done = _run(*words, seconds=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _expected(runs: int) -> dict[str, int]:
    return dict.fromkeys(WIRE, runs) | dict.fromkeys(FILES, runs // 5)


def test_the_corpus_and_thousands_of_changes_of_it_find_nothing() -> None:
    said = _fuzz("--plain", "--runs", "2000", seconds=300)
    done = re.findall(r"(?m)^(\w+): \d+ kept, (\d+) runs, no finding$", said)
    assert {name: int(count) for name, count in done} == _expected(2_000)


@ATHERIS
@pytest.mark.long
def test_coverage_guided_runs_of_every_parser_find_nothing() -> None:
    runs = 1_000_000 if SOAK else 10_000
    said = _fuzz("--runs", str(runs), "--seed", "1", seconds=50_000 if SOAK else 900)
    done = dict(re.findall(r"(?m)^(\w+): (\d+) runs in [0-9.]+ s, no finding$", said))
    assert set(done) == {*WIRE, *FILES}
    assert all(int(done[name]) >= count for name, count in _expected(runs).items()), done


def test_the_corpus_is_small_and_plain_text() -> None:
    files = sorted(CORPUS.iterdir())
    assert {file.stem for file in files} <= {*WIRE, *FILES}
    assert sum(file.stat().st_size for file in files) < 300_000
    for file in files:
        assert all(corpus_of(file.stem)), file
        assert len(set(corpus_of(file.stem))) == len(corpus_of(file.stem))


# --- the harness can fail -------------------------------------------------------------------------


def _finds(target: Target, runs: int = 20_000) -> bool:
    rng = random.Random(3)
    for _ in range(runs):
        try:
            held(target, mutated(rng.choice(target.seeds), rng, target.seeds))
        except (AssertionError, ValueError):
            return True
    return False


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    assert _finds(PLANTED[name])


@ATHERIS
@pytest.mark.long
def test_a_planted_fault_is_found_under_atheris_and_its_input_is_told() -> None:
    for name in PLANTED:
        done = _run(name, "--runs", "100000", seconds=300)
        assert done.returncode == 1, done.stdout
        line = re.search(rf"(?m)^{name}: FOUND.*\n([0-9a-f]+)$", done.stdout)
        assert line is not None, done.stdout
        with pytest.raises((AssertionError, ValueError)):
            held(PLANTED[name], bytes.fromhex(line[1]))


def test_the_same_seed_makes_the_same_changes() -> None:
    pool = (b"RISK_PASS:5:a:b", b'{"a":"0.10"}')
    made = [[mutated(pool[k % 2], random.Random(k), pool) for k in range(200)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 150
