"""The stand-in for the MetaTrader5 package answers as the real wheel did (wheel_answers.json)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.windows.wheel_file import recorded

ROOT = Path(__file__).resolve().parents[2]
# A process of its own: the first question is what a fresh module says.
ASK = (
    "import json, sys, warnings\n"
    "warnings.simplefilter('ignore')\n"
    "from tests.support.fake_metatrader5 import load\n"
    "from tests.windows.wheel_file import differences\n"
    "json.dump(differences(load()), sys.stdout)\n"
)


def test_it_answers_every_case_as_the_wheel_did() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found, f"{len(found)} of {len(recorded())}:\n" + "\n".join(found[:20])
