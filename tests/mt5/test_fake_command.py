"""The fake terminal as a command: it trades, listens, and ends on Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.mt5.remote import BUY
from tests.support.fake_metatrader5 import fresh
from tests.support.running import ROOT, wait_until


def test_a_terminal_runs_in_a_process_of_its_own_until_ctrl_c(tmp_path: Path) -> None:
    words = [str(tmp_path), "--margin-mode", "netting", "--every", "0.01", "--kind", "real"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fake_metatrader5", *words],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    mt5 = fresh()
    try:
        path = process.stdout.readline().removeprefix("fake terminal ").strip()
        assert "real, netting" in process.stdout.readline()
        assert mt5.initialize(path), mt5.last_error()
        assert (mt5.account_info().margin_mode, mt5.account_info().trade_mode) == (0, 2)
        first = mt5.symbol_info_tick("EURUSD").bid
        wait_until(lambda: mt5.symbol_info_tick("EURUSD").bid != first)
        assert mt5.order_send(BUY).retcode == 10009
        for line in ("EURUSD 2.00000 2.00010", "algo off", "nonsense", "NOSUCH 1 2", "link off"):
            process.stdin.write(f"{line}\n")
        process.stdin.flush()
        said = [process.stdout.readline().strip() for _ in range(3)]
        assert said == ["done: EURUSD 2.00000 2.00010", "done: algo off", "done: link off"]
        assert mt5.order_send(BUY).retcode == 10027
        assert mt5.terminal_info().connected is False
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert mt5.order_send(BUY) is None
        assert mt5.last_error()[0] == -10001
        assert (tmp_path / "ledger.jsonl").stat().st_size
    finally:
        mt5.shutdown()
        process.kill()
        process.communicate()
