"""`make ea-planted`: plant known bugs in the Advisor's source, and see that each is found.

    python -m tests.mql4.hunt [NAME ...] [--list] [--jobs N]

First the tests that are to find them run against an unchanged copy of mql4/ and must all pass: a
test that fails anyway finds nothing. Then each bug of planted*.py is put into a copy of its own,
built, and must be found by what its entry names and in the words it names. Exit code 0: all were
found; 1: not all, or the unchanged copy was; 2: it could not be tried.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.mql4.build import COPY, ROOT, missing
from tests.mql4.check import check, show
from tests.mql4.planted import LANGUAGE, Bug, By
from tests.mql4.planted_dead_man import DEAD_MAN
from tests.mql4.planted_protocol import PROTOCOL

__all__ = ["BUGS", "Found", "bug", "control", "copy_of_source", "hunt", "main", "plant", "table"]

BUGS: Final[tuple[Bug, ...]] = (*LANGUAGE, *PROTOCOL, *DEAD_MAN)
SOURCE: Final = ROOT / "mql4"
_MAIN: Final = "Experts/BridgeEA.mq4"
_PARTS: Final = ("Experts", "Include", "Scripts")
_TESTS_FAILED: Final = 1  # pytest's exit code; others say that no test ran
_ONE_S: Final = 1_200
_ALL_S: Final = 2_400


class Found(NamedTuple):
    """What became of one bug: whether it was found as its entry says, and the line that says so."""

    bug: Bug
    found: bool
    how: str
    seconds: float


def bug(name: str) -> Bug:
    """The planted bug of this name; KeyError if there is none."""
    return {each.name: each for each in BUGS}[name]


def copy_of_source(folder: Path) -> Path:
    """Copy what is built of mql4/ into `folder` and return the copy."""
    for part in _PARTS:
        shutil.copytree(SOURCE / part, folder / "mql4" / part)
    return folder / "mql4"


def plant(planted: Bug, source: Path) -> None:
    """Put the bug into a copy of mql4/.

    Raises:
        ValueError: its text is not there exactly once: the source moved on, the entry did not.
    """
    path = source / planted.file
    text = path.read_text("utf-8")
    count = text.count(planted.text)
    if count != 1:
        raise ValueError(
            f"{planted.name}: its text is {count} times in {planted.file}, not once:\n"
            f"{planted.text}"
        )
    path.write_text(text.replace(planted.text, planted.replacement), "utf-8", newline="\n")


def control(bugs: Iterable[Bug]) -> str:
    """Run the tests of these bugs against unchanged copies; "" if all pass, else what failed."""
    tests = dict.fromkeys(test for each in bugs for test in each.tests)
    # By the program that they run (test_core_, test_trade_, test_link_): each is built once.
    groups: dict[str, list[str]] = {}
    for test in tests:
        groups.setdefault(test.split("_")[1], []).append(test)
    with ThreadPoolExecutor(2) as pool:
        return "".join(pool.map(_passes, groups.values()))


def _passes(tests: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        source = copy_of_source(Path(folder))
        code, output = _run(tests, source, _ALL_S)
    return "" if code == 0 else output


def hunt(planted: Bug) -> Found:
    """Plant one bug in a copy of its own and look for it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source = copy_of_source(Path(folder))
        plant(planted, source)
        found, how = _compiled(source, planted) if not planted.tests else _tested(source, planted)
    return Found(planted, found, how, time.monotonic() - began)


def _compiled(source: Path, planted: Bug) -> tuple[bool, str]:
    """Whether `make ea-check` names it."""
    messages = check(source / _MAIN, [], lint_only=planted.by is By.LINT)
    hits = [
        one
        for one in messages
        if planted.says in one.text and (planted.by is By.LINT) == one.code.startswith("L")
    ]
    if hits:
        return True, f"{hits[0].code}: {hits[0].text}"
    return False, "\n".join(show(one) for one in messages) or "no finding"


def _tested(source: Path, planted: Bug) -> tuple[bool, str]:
    """Whether its tests fail, and in the words that are expected."""
    code, output = _run(planted.tests, source, _ONE_S)
    if code != _TESTS_FAILED or "BuildError" in output:
        return False, f"exit code {code}: {output[-2000:]}"
    hits = [line.strip() for line in output.splitlines() if planted.says in line]
    if not hits:
        return False, f"a test failed, but not with {planted.says!r}: {output[-2000:]}"
    failed = [line for line in output.splitlines() if line.startswith("FAILED ")]
    test = failed[0].split("::", 1)[-1].split(" - ")[0] if failed else planted.tests[0]
    return True, planted.says if planted.by is not By.TEST else test


def _run(tests: Sequence[str], source: Path, seconds: int) -> tuple[int, str]:
    """Run tests of this folder against a copy of mql4/; return pytest's exit code and output."""
    nodes = [f"tests/mql4/{test}" for test in tests]
    base = source.parent / "pytest"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
               "--basetemp", str(base), "-rf", *nodes]  # fmt: skip
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**inherited, COPY: str(source)}, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the terminals that it started, too
            output, _ = process.communicate()
            return -1, f"{output}\nno end after {seconds} s"
    return process.returncode, output


def table(results: Iterable[Found]) -> str:
    """One line a bug: was it found, by what, in which words."""
    rows = [
        f"{'found ' if each.found else 'MISSED'}  {each.seconds:5.1f} s  {each.bug.by.value:10} "
        f"{each.bug.name}: {each.how.splitlines()[0] if each.found else each.how}"
        for each in results
    ]
    return "\n".join(rows)


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mql4.hunt", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these bugs")
    parser.add_argument("--list", action="store_true", help="name the bugs and stop")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time")
    chosen = parser.parse_args(argv)
    try:
        bugs = [bug(name) for name in chosen.names] or list(BUGS)
    except KeyError as error:
        print(f"no planted bug {error}: --list names them", file=sys.stderr)
        return 2
    if chosen.list:
        print("\n".join(f"{each.by.value:10} {each.name}" for each in bugs))
        return 0
    if missing():
        print(missing(), file=sys.stderr)
        return 2
    if failed := control(bugs):
        print(f"the unchanged source does not pass:\n{failed[-4000:]}", file=sys.stderr)
        return 1
    print("the unchanged source passes", flush=True)
    missed = 0
    with ThreadPoolExecutor(max(1, chosen.jobs)) as pool:
        for result in pool.map(hunt, bugs):
            print(table([result]), flush=True)
            missed += not result.found
    print(f"{len(bugs) - missed} of {len(bugs)} planted bugs were found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
