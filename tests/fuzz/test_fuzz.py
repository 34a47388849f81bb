"""Fuzzing: the kept corpus and fresh changes of it on every run, coverage-guided in the long ones.

In processes of their own: half-changed key files must not count as this session's secrets.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz.mutator import mutated
from tests.fuzz.target import CORPUS, Target, corpus_of, held

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("request", "authentic", "body", "reply", "reply_body", "event", "event_body", "record",
         "keys", "settings", "env", "halted", "prices")  # fmt: skip
SOAK = bool(os.environ.get("ZTB_SOAK"))


def _fuzz(*words: str, seconds: float) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_corpus_and_a_thousand_changes_of_it_find_nothing() -> None:
    said = _fuzz("--plain", "--runs", "1000", seconds=300)
    assert re.findall(r"(?m)^(\w+): \d+ kept, 1000 runs, no finding$", said) == list(NAMES)


@pytest.mark.long
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="platform: atheris has wheels for Linux on x86-64 only; elsewhere fuzz with --plain",
)
def test_coverage_guided_runs_of_every_parser_find_nothing() -> None:
    runs = 10_000_000 if SOAK else 20_000
    said = _fuzz("--runs", str(runs), "--seed", "1", seconds=200_000 if SOAK else 900)
    done = dict(re.findall(r"(?m)^(\w+): (\d+) runs in [0-9.]+ s, no finding$", said))
    assert set(done) == set(NAMES)
    assert all(int(count) >= runs for count in done.values()), done


def test_the_corpus_is_small_and_plain_text() -> None:
    files = sorted(CORPUS.iterdir())
    assert {file.stem for file in files} <= set(NAMES)
    assert sum(file.stat().st_size for file in files) < 300_000
    for file in files:
        assert all(corpus_of(file.stem)), file
        assert len(set(corpus_of(file.stem))) == len(corpus_of(file.stem))


# --- the harness can fail -------------------------------------------------------------------------


def _finds(check: Target, runs: int = 20_000) -> bool:
    rng = random.Random(3)
    for _ in range(runs):
        try:
            held(check, mutated(rng.choice(check.seeds), rng, check.seeds))
        except (AssertionError, ValueError):
            return True
    return False


def _crashes(data: bytes) -> None:
    float(data.partition(b":")[2].partition(b":")[0] or b"0")


def _accepts(data: bytes) -> None:
    assert data == b"kid:1:mac" or not data.endswith(b":1:mac"), "a forgery was accepted"


def _slow(data: bytes) -> None:
    if b"9999999999999" in data:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass


@pytest.mark.parametrize("check", [_crashes, _accepts, _slow], ids=lambda one: one.__name__[1:])
def test_a_planted_fault_is_found(check: object) -> None:
    assert callable(check)
    assert _finds(Target("planted", check, (b"kid:1:mac", b"other:2:mac")))


def test_the_same_seed_makes_the_same_changes() -> None:
    pool = (b"RISK_PASS:5:a:b", b'{"a":"0.10"}')
    made = [[mutated(pool[k % 2], random.Random(k), pool) for k in range(200)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 150
