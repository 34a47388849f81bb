"""A file system that is really full: a small tmpfs under the server's state folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.host.sqlite import Reserve
from bridge_core.protocol.operations import Op
from tests.crash.dying import PATIENCE_S, opened
from tests.crash.stage import Run
from tests.crash.verdict import judge_run
from tests.support.doom import SUBJECT
from tests.support.running import wait_until

pytestmark = pytest.mark.long


@pytest.fixture
def small(run: Run) -> Iterator[Path]:
    """Put the state folder on a file system of its own, with little room beside the reserve."""
    state = run.account.state
    aside = state.with_name("aside")
    state.rename(aside)
    state.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "none", str(state)]
    mounted = sys.platform.startswith("linux") and shutil.which("mount") is not None
    if not mounted or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("platform: no file system may be mounted here (needs root on Linux)")
    try:
        for file in aside.iterdir():
            if file.name != "reserve":
                shutil.copy2(file, state)
        Reserve(run.journal).ensure()
        yield state
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def test_a_full_disk_begins_nothing_answers_everybody_and_is_forgotten_once_there_is_room(
    run: Run, small: Path
) -> None:
    server = run.serve()
    bridge = opened(run)
    assert bridge.buy("EURUSD", "0.01", client_order_id=SUBJECT, comment=SUBJECT).final
    _fill(small / "ballast")
    told = [bridge.buy("EURUSD", "0.01") for _ in range(3)]
    assert {one.status for one in told} == {"DENIED"}
    assert told[0].code in ("JOURNAL_FULL", "BROKER_DOWN")  # the broker's file may be first
    client = run.raw()
    assert client.ping().status == "OK"
    assert client.query(Op.GET_POSITIONS).total == 1
    assert client.stop(Op.HALT).status == "OK"
    assert client.hello().state == "HALTED"
    (small / "ballast").unlink()
    wait_until(lambda: "JOURNAL_FULL" not in [one.cause for one in client.hello().causes],
               PATIENCE_S)  # fmt: skip
    bridge.close()
    server.kill()
    assert judge_run(run, run.serve()).status == "FILLED"


def test_a_halt_on_a_full_disk_outlives_kill_9(run: Run, small: Path) -> None:
    server = run.serve()
    bridge = opened(run)
    assert bridge.buy("EURUSD", "0.01", client_order_id=SUBJECT, comment=SUBJECT).final
    _fill(small / "ballast")
    client = run.raw()
    assert client.stop(Op.HALT).status == "OK"
    bridge.close()
    server.kill()
    assert (small / "halted").read_text("utf-8").startswith("HALTED ")
    (small / "ballast").unlink()
    run.serve()
    assert run.raw().hello().state == "HALTED"
