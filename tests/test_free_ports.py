"""Ports of tests: no two test processes get the same one, wherever their temporary files are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import running
from tests.support.running import ROOT, free_port

_HOLD = """
from tests.support.running import free_port
print(free_port(), flush=True)
input()
"""


def test_a_port_of_another_test_process_is_not_given_away_though_its_temporary_folder_is_another(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "TMP": str(tmp_path)},
    ) as other:  # fmt: skip
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert not running._claim(port)
        other.communicate("\n")
    assert running._claim(port)


def test_no_port_is_given_twice_to_one_process() -> None:
    ports = [free_port() for _ in range(5)]
    assert len(set(ports)) == 5
