"""`make mutation`: change each module in each small way, and see whether its tests notice.

Every mutant runs in a fork of a process that has imported pytest and the libraries but nothing of
ours, with the changed module compiled from memory: no file is touched. What survives must stand in
survivors.txt with a reason; a survivor that does not fails the run.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.util
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import cryptography.hazmat.primitives.kdf.hkdf  # noqa: F401  imported once, before the forks
import dotenv  # noqa: F401
import hypothesis  # noqa: F401
import msgspec  # noqa: F401
import pytest
import zmq  # noqa: F401

from tests.mutation.operators import Place, mutants_of
from tests.mutation.plan import PLAN

ROOT: Final = Path(__file__).resolve().parents[2]
SURVIVORS: Final = Path(__file__).with_name("survivors.txt")
_MARK: Final = " ;; "
_MEMORY: Final = 4 << 30  # a mutant that appends for ever ends here
_SLOW_FACTOR, _SLOW_LEAST_S = 4, 10.0


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module from a tree instead of from its file."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._path, self._tree = name, path, tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)


class Job(NamedTuple):
    """One running mutant."""

    place: Place
    until: float


class Report(NamedTuple):
    """What became of a module's mutants."""

    mutants: int
    survivors: list[Place]
    seconds: float


def _child(module: str, tree: ast.Module, scratch: Path) -> int:
    os.chdir(ROOT)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    name = module.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, _Finder(name, ROOT / module, tree))
    words = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not long", f"--basetemp={scratch}"]
    # hypothesis is imported before pytest could rewrite its plugin, which needs no rewriting.
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*words, *PLAN[module]]))


def _fork(module: str, tree: ast.Module, scratch: Path) -> int:
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        code = 70
        try:
            code = _child(module, tree, scratch)
        finally:
            os._exit(code)
    return pid


def _baseline(module: str, source: str, scratch: Path) -> float:
    """Return how long the tests take on the module as it is; they must pass."""
    begun = time.monotonic()
    _, status = os.waitpid(_fork(module, ast.parse(source), scratch), 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{module}: its tests fail without any mutation")
    return time.monotonic() - begun


def try_module(
    module: str, jobs: int, scratch: Path, only: set[tuple[str, Place]] | None = None
) -> Report:
    """Run every mutant of one module, or only those of these places."""
    source = (ROOT / module).read_text(encoding="utf-8")
    begun = time.monotonic()
    slow = max(_SLOW_LEAST_S, _SLOW_FACTOR * jobs * _baseline(module, source, scratch / "0"))
    running: dict[int, Job] = {}
    survivors: list[Place] = []
    count = 0
    for mutant in mutants_of(source):
        if only is not None and (module, mutant.place) not in only:
            continue
        count += 1
        pid = _fork(module, mutant.tree, scratch / str(count % (2 * jobs) + 1))
        running[pid] = Job(mutant.place, time.monotonic() + slow)
        while len(running) >= jobs:
            survivors += _reap(running)
    while running:
        survivors += _reap(running)
    return Report(count, survivors, time.monotonic() - begun)


def _reap(running: dict[int, Job]) -> list[Place]:
    """Wait for one to end; return it if its tests all passed."""
    time.sleep(0.005)
    for pid, job in list(running.items()):
        if time.monotonic() > job.until:
            os.killpg(pid, signal.SIGKILL)
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            del running[pid]
            return [job.place] if os.waitstatus_to_exitcode(status) == 0 else []
    return []


def reviewed(file: Path = SURVIVORS) -> dict[tuple[str, Place], str]:
    """Return the listed survivors and the reason of each."""
    found: dict[tuple[str, Place], str] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            module, scope, text, change, *reason = line.removeprefix("NEW ").split(_MARK)
            found[module, Place(scope, text, change)] = "".join(reason)
    return found


def main() -> int:
    """Try the modules; return 1 if a mutant survived that nobody has reviewed."""
    parser = argparse.ArgumentParser(prog="tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(PLAN), help="default: all of the plan")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", type=Path, help="only the mutants that such a list names")
    args = parser.parse_args()
    listed = reviewed()
    only = set(reviewed(args.again)) if args.again is not None else None
    strangers = [module for module, _ in listed if module not in PLAN]
    scratch = Path(tempfile.mkdtemp(prefix="ztb-mutation-"))
    new: list[str] = []
    try:
        for module in args.modules:
            report = try_module(module, args.jobs, scratch, only)
            _show(module, report, listed)
            if only is None:
                _show_stale(module, report, listed)
            new += _unlisted(module, report, listed)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for module in strangers:
        print(f"survivors.txt names {module}, which is not in the plan")
    return 1 if new or strangers else 0


def _unlisted(module: str, report: Report, listed: dict[tuple[str, Place], str]) -> list[str]:
    lines = [
        _MARK.join((module, *place)) for place in report.survivors if (module, place) not in listed
    ]
    for line in lines:
        print(f"NEW {line}", flush=True)
    return lines


def _show(module: str, report: Report, listed: dict[tuple[str, Place], str]) -> None:
    equal = [
        place
        for place in report.survivors
        if listed.get((module, place), "").startswith("equivalent")
    ]
    counted = report.mutants - len(equal)
    killed = report.mutants - len(report.survivors)
    print(
        f"{module}: {report.mutants} mutants, {killed} killed, {len(equal)} equivalent, "
        f"{len(report.survivors) - len(equal)} survived: {killed / counted:.1%} "
        f"in {report.seconds:.0f} s",
        flush=True,
    )


def _show_stale(module: str, report: Report, listed: dict[tuple[str, Place], str]) -> None:
    for name, place in listed:
        if name == module and place not in report.survivors:
            print(f"no longer there, take it off the list: {_MARK.join((module, *place))}")


if __name__ == "__main__":
    sys.exit(main())
