"""`make demo EA=1` as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mql4.needs import needs_compiler

ROOT = Path(__file__).resolve().parents[2]


def _demo(path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.mql4.demo"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
        env=None if path is None else {"PATH": path},
    )  # fmt: skip


@pytest.mark.long
@needs_compiler
def test_every_act_of_the_demo_goes_as_it_must() -> None:
    done = _demo()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAIL "))]
    assert len(lines) == 16
    assert not [line for line in lines if line.startswith("FAIL")]
    assert "every act went as it must" in done.stdout


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path) -> None:
    done = _demo(str(tmp_path))
    assert done.returncode == 3
    assert "skipped: EA source (install g++ libzmq3-dev)" in done.stderr
