"""The comparison with a wheel finds what has changed; `make mt5-wheel` makes it with the newest."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mt5.wheel import differences, main, read_wheel
from tests.support.fake_metatrader5.facts import FACTS


def init_of_ours() -> str:
    lines = [f"__version__ = '{FACTS.version}'", f"__author__ = '{FACTS.author}'"]
    lines += [f"{name} = {value}" for name, value in FACTS.constants.items()]
    lines += ["from ._core import *", "def _RawOrder(a): pass"]
    lines += [f"def {name}(symbol): pass" for name in FACTS.helpers]
    return "\n".join(lines)


def core_of_ours() -> bytes:
    fields = [field for record in FACTS.records.values() for field, _ in record]
    texts = [text.partition("<")[0] for text in FACTS.errors.values()]
    words = [*FACTS.functions, *FACTS.records, *fields, *texts]
    return b"\0" + b"\0".join(word.encode() for word in words) + b"\0"


def wheel_of(folder: Path, init: str, core: bytes) -> Path:
    path = folder / "metatrader5-0-cp311-cp311-win_amd64.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("MetaTrader5/__init__.py", init)
        wheel.writestr("MetaTrader5/_core.cp311-win_amd64.pyd", core)
    return path


def told(path: Path) -> list[str]:
    # A rebuilt file has another sum than the real one: that line is expected here.
    return [line for line in differences(read_wheel(path)) if not line.startswith("sha256")]


def test_a_wheel_that_says_the_same_differs_in_nothing(tmp_path: Path) -> None:
    assert told(wheel_of(tmp_path, init_of_ours(), core_of_ours())) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda t: t.replace("RETCODE_DONE = 10009", "RETCODE_DONE = 10010"),
         "TRADE_RETCODE_DONE: facts.json has 10009, the wheel 10010"),
        (lambda t: t.replace("TRADE_ACTION_DEAL = 1\n", ""),
         "TRADE_ACTION_DEAL: facts.json has 1, the wheel None"),
        (lambda t: t + "\nORDER_TYPE_NEW = 1 | 0x4000",
         "ORDER_TYPE_NEW: facts.json has None, the wheel 16385"),
        (lambda t: t.replace(FACTS.version, "9.9"),
         f"version: facts.json has {FACTS.version!r}, the wheel '9.9'"),
        (lambda t: t.replace("def Close(", "def Closed("),
         "helpers: facts.json has ['Buy', 'Close', 'Sell'], the wheel ['Buy', 'Closed', 'Sell']"),
    ],
)  # fmt: skip
def test_a_change_of_the_python_part_is_named(
    tmp_path: Path, change: Callable[[str], str], line: str
) -> None:
    changed = change(init_of_ours())
    assert changed != init_of_ours()
    assert told(wheel_of(tmp_path, changed, core_of_ours())) == [line]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (b"\0order_send\0", b"\0order_sent\0", "order_send: the wheel does not know it"),
        (b"\0retcode_external\0", b"\0x\0",
         "OrderSendResult.retcode_external: the wheel does not know it"),
        (b"\0Tick\0", b"\0Tock\0", "Tick: the wheel does not know it"),
        (b"IPC send failed", b"IPC sent failed",
         "error -10001: the wheel does not say 'IPC send failed'"),
    ],
)  # fmt: skip
def test_a_change_of_the_compiled_part_is_named(
    tmp_path: Path, old: bytes, new: bytes, line: str
) -> None:
    core = core_of_ours()
    assert old in core
    assert told(wheel_of(tmp_path, init_of_ours(), core.replace(old, new))) == [line]


def test_the_sum_of_the_python_part_is_compared(tmp_path: Path) -> None:
    path = wheel_of(tmp_path, init_of_ours(), core_of_ours())
    other = hashlib.sha256(init_of_ours().encode()).hexdigest()
    assert [line for line in differences(read_wheel(path)) if other in line]


def test_a_wheel_built_otherwise_is_refused(tmp_path: Path) -> None:
    for bad in ("X = print()", "X = 'a' | 1", "X = Y"):
        with pytest.raises(ValueError, match="line 1: "):
            read_wheel(wheel_of(tmp_path, bad, b""))
    path = wheel_of(tmp_path, "", b"")
    with zipfile.ZipFile(path, "a") as wheel:
        wheel.writestr("MetaTrader5/other.pyd", b"")
    with pytest.raises(ValueError, match="one compiled part"):
        read_wheel(path)


def test_the_command_says_how_many_differ_and_exits_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(wheel_of(tmp_path, init_of_ours(), core_of_ours()))]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith(".whl: 1 difference")
