"""The demo as it is run: real processes, a real kill. Three short runs at once, looked at often."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.command_line import ROOT, Ended, on_a_terminal
from tests.support.paper import HEADER, bar

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="platform: no pseudo-terminal")

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[mK]")
_TIMEOUT_S = 100


class Runs(NamedTuple):
    """Two runs of one seed on the same prices, and one on a terminal."""

    first: Ended
    second: Ended
    seen: Ended


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bridge_client", "demo", *words],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={"PATH": "", "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=_TIMEOUT_S)
    return Ended(process.returncode, out, err)


def _bars(file: Path) -> Path:
    # A slow wave with long wicks: averages cross, stops and targets are met inside the bars.
    rows = []
    for n in range(90):
        at = 110_000 + 12 * abs(n % 40 - 20)
        prices = (at, at + 15, at - 11, at + 6)
        rows.append(bar(n, *(f"{price / 100_000:.5f}" for price in prices), spread=4))
    file.write_text(HEADER + "".join(rows), "utf-8")
    return file


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    # Short paths: the folder is shown on the screen.
    with tempfile.TemporaryDirectory(prefix="zt") as short:
        folders = [Path(short) / name for name in "abc"]
        for folder in folders:
            folder.mkdir()
        words = ("--fixings", "160", "--rate", "100", "--seed", "7", "--json")
        pair = [_start(folder, *words) for folder in folders[:2]]
        try:
            prices = _bars(tmp_path_factory.mktemp("prices") / "mine.csv")
            seen = on_a_terminal(
                "demo", "--prices", prices, "--seed", "3", "--rate", "100",
                TMPDIR=str(folders[2]), NO_COLOR="1",
            )  # fmt: skip
            with ThreadPoolExecutor(2) as pool:
                first, second = pool.map(_end, pair)
        finally:
            for process in pair:
                process.kill()
        for ended in (first, second, seen):
            assert ended.code == 0, ended.out[-4000:] + ended.err[-4000:]
        assert not [path for folder in folders for path in folder.iterdir()], "left behind"
        return Runs(first, second, seen)


def _facts(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.out[-2000:] + ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def _orders(ended: Ended) -> list[dict[str, Any]]:
    # The order at the kill, and the closing of what it left, are judged by the promises alone.
    return [one for one in _facts(ended)["orders"] if "-kill" not in one["id"]]


def test_orders_and_outcomes_are_the_same_for_a_seed_and_a_price_file(runs: Runs) -> None:
    assert len(_orders(runs.first)) > 30
    assert _orders(runs.first) == _orders(runs.second)


def test_every_promise_is_put_to_the_test_and_held(runs: Runs) -> None:
    for ended in (runs.first, runs.second):
        facts = _facts(ended)
        assert facts["held"]
        assert facts["broken"] == []
        assert [one[0] for one in facts["promises"]] == ["S1", "S2", "S3", "S4", "S5", "S6"]
        assert all(0 < held == total for _, _, held, total, _ in facts["promises"])
        record = facts["record"]
        assert record["flipped"] == record["found"] > 0
        assert record["heads"] == record["agreeing"] > 0


def test_every_price_reaches_the_strategy(runs: Runs) -> None:
    facts = _facts(runs.first)
    assert facts["rows"] == facts["ticks"] == 160


def test_the_story_has_each_attack_with_its_outcome_and_the_restarted_pid(runs: Runs) -> None:
    facts = _facts(runs.first)
    story = {act["order"]: act for act in facts["story"]}
    told = {name: (act["outcome"], act["by"]) for name, act in story.items()}
    assert told["market, SL and TP"] == ("FILLED", "broker")
    assert told["pending"] == ("WORKING", "broker")
    assert told["modify the stop"] == ("DONE", "broker")
    assert told["partial close"] == ("FILLED", "broker")
    assert told["5 lots, too large"] == ("DENIED", "connector")
    assert told["0.5 lots, too large"] == ("DENIED", "server")
    assert told["one byte: 0.01>9.01"] == ("dropped", "server")
    assert told["RISK_PASS:00000000:"] == ("dropped", "server")
    assert told["same bytes again"] == ("FILLED", "server")
    assert told["in flight at kill"][0] in ("FILLED", "DENIED")
    assert told["flatten at the end"] == ("DONE", "broker")
    old, new = facts["pids"]
    assert old != new
    assert facts["orders_ms"]["median"] > facts["floor_ms"]["median"] > 0


def test_json_is_one_object_and_the_talk_is_one_line_per_ten_percent(runs: Runs) -> None:
    facts = _facts(runs.first)
    assert facts["schema"] == "ztb.demo/1"
    tenths = [line for line in runs.first.err.splitlines() if " %  " in line]
    assert len(tenths) == 10
    assert "\r" not in runs.first.err
    assert "\x1b" not in runs.first.err + runs.first.out


def test_on_a_terminal_there_is_a_bar_and_the_report_fits_80_columns_in_words(runs: Runs) -> None:
    assert runs.seen.code == 0, runs.seen.out
    drawn = runs.seen.out.split("\r\x1b[K")
    assert any(re.match(r"\[#+\.*\] +[0-9]+ %  [0-9]+/90 prices", one) for one in drawn)
    assert "\x1b[3" not in runs.seen.out, "NO_COLOR was set"
    report = runs.seen.out[runs.seen.out.index("\nprices  ") :]
    assert max(len(_ESCAPES.sub("", line)) for line in report.splitlines()) <= 80
    wanted = (
        "DENIED", "dropped", "at most once", "raw ZeroMQ", "flipped in a copy: found",
        "came back as pid", "bars of BID prices", "every promise held (seed 3)",
    )  # fmt: skip
    assert not [words for words in wanted if words not in report]
