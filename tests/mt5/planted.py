"""Classic mistakes of MetaTrader 5 bridges, planted one at a time: which test finds each?

    python -m tests.mt5.planted            # all of them; a few minutes
    python -m tests.mt5.planted retries    # those whose name holds a word

Each is put into a copy of the tree by replacing text, and the tests that ought to mind run there.
A mistake that no test finds is reported, and the exit code is 1. It is no part of `make test`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
_LEFT_OUT: Final = shutil.ignore_patterns(
    ".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info"
)
_BACKENDS: Final = "bridge_server/backends"
_SECONDS_MAX: Final = 300


class Planted(NamedTuple):
    """A mistake: its name, the file, the text there and what replaces it, the tests to run."""

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


_MT5: Final = ("tests/backends/test_mt5.py",)
_REQUESTS: Final = ("tests/backends/test_mt5_requests.py",)
_ANSWERS: Final = ("tests/backends/test_mt5_answers.py",)
_STANDIN: Final = ("tests/server/mt5/test_link_standin.py",)

PLANTED: Final = (
    Planted(
        "a requote is sent again", f"{_BACKENDS}/mt5_worker.py",
        '_its_own(self.call("order_send", ask.request), ask.request)',
        '_its_own(next(a for a in [self.call("order_send", ask.request) for _ in "12"]), '
        "ask.request)",
        _MT5,
    ),
    Planted(
        "a link's lost answer is asked for again", f"{_BACKENDS}/mt5.py",
        "answer = judge_sent(self.link.trade(ready.request, submission.deadline))",
        "answer = judge_sent(self.link.trade(ready.request, submission.deadline))\n"
        "        if isinstance(answer, Lost):\n"
        "            answer = judge_sent(self.link.trade(ready.request, submission.deadline))",
        _MT5,
    ),
    Planted(
        "the deadline is not looked at right before the call", f"{_BACKENDS}/mt5_worker.py",
        "if wall_ms >= ask.wall_ms or mono_ms >= ask.mono_ms:", "if False:",
        ("tests/server/mt5/test_link_calls.py",),
    ),
    Planted(
        "the account is not compared right before the call", f"{_BACKENDS}/mt5_worker.py",
        "        if wrong:\n", "        if False:\n",
        _STANDIN,
    ),
    Planted(
        "the answer to another request is believed", f"{_BACKENDS}/mt5_worker.py",
        "not magic or magic == request", "True or magic == request",
        _STANDIN,
    ),
    Planted(
        "a timeout at the broker is a rejection", f"{_BACKENDS}/mt5_answers.py",
        "    10013: _C.BROKER_REJECTED,",
        "    10012: _C.BROKER_REJECTED,\n    10013: _C.BROKER_REJECTED,",
        _ANSWERS,
    ),
    Planted(
        "a code that nobody listed is a rejection", f"{_BACKENDS}/mt5_answers.py",
        "return Kind.REFUSED if retcode in REFUSED else Kind.UNKNOWN", "return Kind.REFUSED",
        _ANSWERS,
    ),
    Planted(
        "IPC send failed means not sent", f"{_BACKENDS}/mt5_answers.py",
        "_BROKER_DOWN: Final = frozenset({-10004})",
        "_BROKER_DOWN: Final = frozenset({-10004, -10001})",
        _ANSWERS,
    ),
    Planted(
        "filling_mode is used as type_filling", f"{_BACKENDS}/mt5_requests.py",
        "return next(iter(symbol.fillings()), FOK)", "return symbol.filling_mode",
        _REQUESTS,
    ),
    Planted(
        "a close does not name its position", f"{_BACKENDS}/mt5_requests.py",
        '        "position": position.ticket,\n        "volume"', '        "volume"',
        _REQUESTS,
    ),
    Planted(
        "a sell is sent as a buy", f"{_BACKENDS}/mt5_requests.py",
        '"type": order_type(body.type),', '"type": order_type(body.type.replace("SELL", "BUY")),',
        _REQUESTS,
    ),
    Planted(
        "stop and target change places", f"{_BACKENDS}/mt5_requests.py",
        '        "sl": float(Decimal(body.sl)),\n        "tp": float(Decimal(body.tp)),\n'
        '        "deviation"',
        '        "sl": float(Decimal(body.tp)),\n        "tp": float(Decimal(body.sl)),\n'
        '        "deviation"',
        _REQUESTS,
    ),
    Planted(
        "an expiration is sent in UTC", f"{_BACKENDS}/mt5_requests.py",
        "(expiration_ms + zone_ms) // 1000", "expiration_ms // 1000",
        _REQUESTS,
    ),
    Planted(
        "a comment is as long as the user likes", f"{_BACKENDS}/mt5_requests.py",
        "COMMENT_CHARS: Final = 28", "COMMENT_CHARS: Final = 64",
        _REQUESTS,
    ),
    Planted(
        "a part is told as the whole", "bridge_server/core/reconcile.py",
        "part = _done(deals) < _wanted_of(suspect.body)", "part = False",
        _MT5,
    ),
    Planted(
        "the magic is not looked at", "bridge_server/core/reconcile.py",
        "return by_magic or item.comment", "return item.comment",
        ("tests/server/core/test_reconcile.py",),
    ),
    Planted(
        "absence counts although the records are not whole", f"{_BACKENDS}/mt5_past.py",
        "complete = raw.steady and whole and reader.synced() and not odd", "complete = True",
        ("tests/backends/test_mt5_past.py",),
    ),
    Planted(
        "the past ends now, by UTC", f"{_BACKENDS}/mt5_past.py",
        "last = (until_ms + east + 2 * _DAY_MS) // 1000", "last = until_ms // 1000",
        ("tests/backends/test_mt5_past.py",),
    ),
    Planted(
        "an empty list is a failure", f"{_BACKENDS}/mt5_worker.py",
        'ok = not (value is None or value is False or value == (0, 0, ""))', "ok = bool(value)",
        _MT5,
    ),
    Planted(
        "an empty ** is passed on", f"{_BACKENDS}/mt5_worker.py",
        "function(*args, **kwargs) if kwargs else function(*args)", "function(*args, **kwargs)",
        ("tests/mt5/test_peers.py", "tests/server/mt5/test_link_calls.py", *_MT5),
    ),
    Planted(
        "the password is always given", f"{_BACKENDS}/mt5_connect.py",
        'first = connects(words, "")', 'first = connects(words, password.decode("utf-8"))',
        ("tests/server/mt5/test_link_connect.py",),
    ),
    Planted(
        "silence is health", f"{_BACKENDS}/mt5_status.py",
        "if now.busy_with != TRADE and silent_ms > self._pace.stale_ms:", "if False:",
        ("tests/server/mt5/test_link_status.py",),
    ),
    Planted(
        "one tick tells the zone", f"{_BACKENDS}/mt5_zone.py",
        "if last is None or not _fresh(tick_ms - last.tick_ms, mono_ms - last.mono_ms):",
        "if False:",
        ("tests/backends/test_mt5_zone.py",),
    ),
)  # fmt: skip


def _found_by(one: Planted, tree: Path) -> str:
    """Return the first test that fails with the mistake in place, "" if none does."""
    path = tree / one.file
    kept = path.read_text("utf-8")
    assert kept.count(one.right) == 1, f"{one.name}: {one.file} has not this text once"
    path.write_text(kept.replace(one.right, one.wrong), "utf-8")
    try:
        return _first_failure(one.tests, tree)
    finally:
        path.write_text(kept, "utf-8")


def _first_failure(tests: tuple[str, ...], tree: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        ran = subprocess.run(
            command, cwd=tree, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {_SECONDS_MAX} s"
    words = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if ran.returncode and not words:
        return f"pytest ended with {ran.returncode}"
    return words[0].partition(" - ")[0] if ran.returncode else ""


def main(words: list[str]) -> int:
    """Plant what is asked for and say who found it; return 1 if something was not found."""
    wanted = [one for one in PLANTED if not words or any(word in one.name for word in words)]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=_LEFT_OUT)
        tests = tuple(sorted({path for one in wanted for path in one.tests}))
        sick = _first_failure(tests, tree)
        if sick:  # then a failure says nothing of a mistake
            print(f"without any mistake: {sick}")
            return 1
        for one in wanted:
            found = _found_by(one, tree)
            missed += not found
            print(f"{one.name}: {found or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
