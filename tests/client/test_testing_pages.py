"""What README.md, the page and the example say of the test kit is run, not believed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bridge_client import Connector
from bridge_client.testing import BrokerAct, PaperBridge
from bridge_client.testing.conditions import Wanted

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/testing-your-strategy.md"
README = ROOT / "README.md"
OURS = {name for name in dir(PaperBridge) if name[0] != "_" and not hasattr(Connector, name)}


def _test_block(page: Path) -> str:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    found = [str(block) for block in blocks if "def test_" in block]
    assert len(found) == 1
    return found[0]


def _pytest(folder: Path, *words: str) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c",
         os.devnull, "--rootdir", str(folder), *words],
        cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_readme_s_test_and_the_example_s_pass_as_a_user_runs_them(tmp_path: Path) -> None:
    block = _test_block(README)
    assert len([line for line in block.splitlines() if line]) == 12
    assert block == _test_block(PAGE)
    (tmp_path / "test_strategy.py").write_text(block, encoding="utf-8")
    for name in ("moving_average.py", "test_moving_average.py"):
        shutil.copyfile(ROOT / "examples" / name, tmp_path / name)
    told = _pytest(tmp_path, "-k", "strategy or wave or reply")
    assert "3 passed" in told, told


@pytest.mark.long
def test_the_readme_s_test_can_fail(tmp_path: Path) -> None:
    block = _test_block(README).replace("bridge.wait(", "bridge.buy('EURUSD', 0.01) and (")
    (tmp_path / "test_strategy.py").write_text(block, encoding="utf-8")
    assert "1 failed" in _pytest(tmp_path)


@pytest.mark.long
def test_all_of_the_example_s_tests_pass() -> None:
    told = _pytest(ROOT / "examples")
    assert "7 passed" in told, told


def test_the_page_names_every_fault_condition_and_field() -> None:
    text = PAGE.read_text("utf-8")
    words = set(re.findall(r"[a-z_]+", text))
    assert {"kill_server", "gap", "ledger", "before"} < OURS
    assert not OURS - words
    assert not [name for name in Wanted.__struct_fields__ if f"{name}=" not in text]
    told = {"op", "client_order_id", "outcome", "code", "ticket", "filled_volume", "filled_price"}
    assert told <= set(BrokerAct.__struct_fields__)


def test_the_page_names_no_call_that_is_not_there() -> None:
    called = set(re.findall(r"bridge\.([a-z_]+)\(", PAGE.read_text("utf-8")))
    assert called
    assert not [name for name in called if not hasattr(PaperBridge, name)]
    first_column = re.findall(r"^\| `([a-z_]+)\(", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [name for name in first_column if not hasattr(PaperBridge, name)] == []


def test_a_paper_bridge_changes_no_call_of_a_connector_but_its_end() -> None:
    public = [name for name in dir(Connector) if not name.startswith("_")]
    changed = [name for name in public if getattr(PaperBridge, name) != getattr(Connector, name)]
    assert set(changed) <= {"close", "from_config"}
