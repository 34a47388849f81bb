"""The DLLs of the harness: the real libzmq made old or weak, and Windows' clock."""

from __future__ import annotations

import time
from pathlib import Path

import zmq

from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal

pytestmark = needs_compiler


def _run(folder: Path, *commands: tuple[str | int, ...], secret: str = "") -> list[str]:
    terminal = Terminal(folder, inputs={"Secret": secret}, source="programs/Library.mq4")
    for command in commands:
        terminal.command(*command)
    with terminal:
        assert terminal.start() == 0
    return terminal.prints


def test_the_library_is_the_real_one(tmp_path: Path) -> None:
    public, secret = zmq.curve_keypair()
    said = _run(tmp_path, secret=secret.decode())
    assert said[0] == "version 4.3.4"
    assert said[1] == "curve 1"
    assert said[4] == f"public 0 {public.decode()}"
    assert said[5] == "key 0"


def test_an_old_library_says_so(tmp_path: Path) -> None:
    assert _run(tmp_path, ("dll", "version", 4, 2, 5))[0] == "version 4.2.5"


def test_a_library_without_curve_neither_has_it_nor_takes_a_key(tmp_path: Path) -> None:
    _, secret = zmq.curve_keypair()
    said = _run(tmp_path, ("dll", "curve", 0), secret=secret.decode())
    assert said[1] == "curve 0"
    assert said[5] == "key -1"


def test_windows_clock_is_the_pcs_clock(tmp_path: Path) -> None:
    before = time.time() * 1000
    said = _run(tmp_path, ("advance", 10_000_000), ("step_wall", -2_500_000))
    wall = int(said[2].removeprefix("wall "))
    assert before + 7_500_000 - 1 <= wall <= time.time() * 1000 + 7_500_000
    assert abs(wall // 1000 - int(said[3].removeprefix("gmt "))) <= 1
