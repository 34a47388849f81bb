"""The real wheel and a terminal's end of its pipe: what its calls do when the other end fails.

What the stand-in does at these points was read in the wheel's code; here it is measured.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

assert sys.platform == "win32"  # conftest.py leaves it out elsewhere

HERE = Path(__file__).resolve().parent
ORDER_SEND = 0xA1
GOOD = {"action": 1, "magic": 7, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.1}
# The module is one per process and so is its connection: each test asks in a process of its own.
ASK = """
import json, sys, threading, time
from pathlib import Path
import MetaTrader5 as m
folder, steps, good = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
beats = [0]
def beat():
    while True:
        beats[0] += 1
        time.sleep(0.02)
threading.Thread(target=beat, daemon=True).start()
path = str(folder / "terminal64.exe")
calls = {
    "initialize": lambda: m.initialize(path), "order_send": lambda: m.order_send(good),
    "wrong": lambda: m.order_send(request=good),
    "nan": lambda: m.order_send({**good, "price": float("nan")}),
    "positions_get": m.positions_get, "account_info": m.account_info, "shutdown": m.shutdown,
}
said = []
(folder / "say").write_text("code -1")
for step in steps:
    if step in calls:
        before = beats[0]
        value = calls[step]()
        said.append([repr(value), *m.last_error(), beats[0] - before])
    else:
        (folder / "say").write_text(step)
print(json.dumps(said))
"""


class Pipe:
    """The terminal's process and what is asked of the wheel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "say").write_text("code -1")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "pipe_terminal.py"), str(folder)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "serving\n"

    def ask(self, *steps: str) -> list[list[object]]:
        """Make the calls in turn: [value, code, text, beats of another thread] for each."""
        done = subprocess.run(
            [sys.executable, "-c", ASK, str(self.folder), json.dumps(steps), json.dumps(GOOD)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said: list[list[object]] = json.loads(done.stdout)
        return said

    def codes(self, *steps: str) -> list[object]:
        """Make the calls in turn: the code of each."""
        return [one[1] for one in self.ask(*steps)]

    def heard(self, command: int) -> list[bytes]:
        """What came with one command."""
        lines = (self.folder / "heard").read_text().splitlines()
        words = [line.partition(" ") for line in lines]
        return [bytes.fromhex(data) for number, _, data in words if int(number, 16) == command]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path)
    yield made
    made.process.kill()
    made.process.communicate()


def test_no_other_thread_runs_while_order_send_waits(pipe: Pipe) -> None:
    _, slow = pipe.ask("initialize", "late 2", "order_send")
    assert slow[:2] == ["None", -1]
    beats = slow[3]
    assert isinstance(beats, int)
    assert beats <= 3, "the package lets other threads run now: good news for mt5_worker.py"


def test_a_terminal_that_dies_in_the_call_is_known_by_10002_and_10004(pipe: Pipe) -> None:
    asked = pipe.codes("initialize", "die", "order_send", "order_send", "positions_get")
    assert asked == [1, -10002, -10004, -10004]


def test_a_pipe_that_breaks_in_the_call_is_10002_and_then_10001_until_initialize(
    pipe: Pipe,
) -> None:
    asked = pipe.codes(
        "initialize", "drop", "order_send", "code -1", "order_send", "account_info",
        "initialize", "order_send",
    )  # fmt: skip
    assert asked == [1, -10002, -10001, -10001, 1, -1]
    assert len(pipe.heard(ORDER_SEND)) == 2, "-10001: the terminal has not got it"


def test_an_answer_to_something_else_or_of_a_wrong_length_leaves_the_connection(
    pipe: Pipe,
) -> None:
    asked = pipe.codes(
        "initialize", "other", "positions_get", "code -1", "order_send", "zeros 3", "order_send",
        "code -1", "order_send",
    )  # fmt: skip
    assert asked == [1, -10000, -1, -10002, -1]
    assert len(pipe.heard(ORDER_SEND)) == 3, "-10002: the terminal had it"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-1, "Terminal: Call failed"),
        (-2, "Terminal: Invalid params"),
        (-3, "Terminal: Out of memory"),
        (-4, "Terminal: Not found"),
        (-6, "Terminal: Authorization failed"),
        (-7, "Terminal: Unsupported function"),
        (-8, "Auto-Trading using Python API disabled in Terminal"),
        (-9, "Terminal: Call failed"),
        (-100, "Terminal: Call failed"),
    ],
)
def test_each_code_of_the_terminal_has_its_text_and_unknown_ones_come_as_they_are(
    pipe: Pipe, code: int, text: str
) -> None:
    assert pipe.ask("initialize", f"code {code}", "order_send")[1][:3] == ["None", code, text]


def test_what_the_wheel_lets_through(pipe: Pipe) -> None:
    pipe.ask("initialize", "wrong", "nan", "order_send")
    empty, nan, good = pipe.heard(ORDER_SEND)
    assert not any(empty), "order_send(request=...) sends a request of zeros"
    assert struct.pack("<d", float("nan")) in nan
    assert struct.pack("<dd", 0.1, 1.1) in good


def test_an_empty_answer_is_an_empty_tuple(pipe: Pipe) -> None:
    assert pipe.ask("initialize", "zeros 4", "positions_get")[1][:3] == ["()", 1, "Success"]
