"""The canary as a pytest plugin: it gathers secrets and everything that is said, and scans it all.

Keys are caught where they come into being (in this process by watching the doors, in child
processes by reading the key files they wrote). What tests and their child processes say is kept in
one file beside what they wrote; folders that a test removes are put aside and scanned too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import zmq

from bridge_core.host import keyfiles
from bridge_core.protocol import keys
from tests.support import said as said_by
from tests.support.canary import (
    Hit,
    Tally,
    both_forms,
    keys_in,
    may_hold_secrets,
    published,
    scan_files,
)

__all__ = ["CanaryPlugin"]

_TESTS: Final = Path(__file__).resolve().parents[1]
_REPOSITORY: Final = _TESTS.parent  # child processes run here, and would leave cores here
_HITS_SHOWN_MAX: Final = 40


def _test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "no test")


class CanaryPlugin:
    """One test session's secrets, and where they must not be."""

    def __init__(self) -> None:
        self.secrets: set[bytes] = set()
        self._root: Path | None = None
        self._said: list[tuple[str, str | bytes]] = []
        self._removed = 0
        self._tallies: list[Tally] = []

    # --- gathering ----------------------------------------------------------------------

    @contextmanager
    def watching(self, root: Path) -> Iterator[None]:
        """Watch while tests run; everything temporary goes below one folder."""
        self._root = root
        place = root / "canary"
        place.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(place))
            patch.setattr(tempfile, "tempdir", None)
            self._watch_keys(patch)
            self._watch_words(patch)
            self._watch_removals(patch, place)
            yield

    def _watch_keys(self, patch: pytest.MonkeyPatch) -> None:
        kdf, problem, pair = vars(keys)["HKDF"], keyfiles.weak_key_problem, zmq.curve_keypair

        def derive(**words: Any) -> Any:
            made = kdf(**words)

            class Derived:
                @staticmethod
                def derive(root: bytes) -> bytes:
                    key: bytes = made.derive(root)
                    if problem(root) is None:  # what everybody can derive is nobody's secret
                        self.secrets |= {root, key}
                    return key

            return Derived

        def judged(key: bytes) -> str | None:
            why = problem(key)
            if why is None:
                self.secrets.add(bytes(key))
            return why

        def drawn() -> tuple[bytes, bytes]:
            public, secret = pair()
            self.secrets |= both_forms(secret.decode("ascii"))
            return public, secret

        patch.setattr(keys, "HKDF", derive)
        patch.setattr(keyfiles, "weak_key_problem", judged)
        patch.setattr(zmq, "curve_keypair", drawn)

    def _watch_words(self, patch: pytest.MonkeyPatch) -> None:
        talk, capture = subprocess.Popen.communicate, pytest.CaptureFixture.readouterr

        def communicate(process: Any, *args: Any, **kwargs: Any) -> Any:
            said = talk(process, *args, **kwargs)
            for words in said:
                self.hear(f"a child process in {_test()}", words)
            return said

        def readouterr(fixture: Any) -> Any:
            said = capture(fixture)
            for words in said:
                self.hear(f"captured by {_test()}", words)
            return said

        patch.setattr(subprocess.Popen, "communicate", communicate)
        patch.setattr(pytest.CaptureFixture, "readouterr", readouterr)
        patch.setattr(said_by, "LISTENERS", [*said_by.LISTENERS, self.hear])

    def _watch_removals(self, patch: pytest.MonkeyPatch, place: Path) -> None:
        remove = shutil.rmtree

        def put_aside(path: Any, *args: Any, **kwargs: Any) -> None:
            old = Path(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else None
            self._removed += 1
            try:
                if old is not None and self._root in old.parents and old.is_dir():
                    old.rename(place / f"removed-{self._removed}")
                    return
            except OSError:
                pass  # in use, as on Windows: then it really goes
            remove(path, *args, **kwargs)

        patch.setattr(shutil, "rmtree", put_aside)

    def hear(self, who: str, words: str | bytes | None) -> None:
        """Keep what was said until the end, when every secret is known."""
        if words:
            self._said.append((who, words))

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what pytest will print of a test."""
        self.hear(f"the name of {report.nodeid}", report.nodeid)
        self.hear(f"the failure of {report.nodeid}", report.longreprtext)
        for name, words in report.sections:
            self.hear(f"{name} of {report.nodeid}", words)

    @pytest.hookimpl
    def pytest_warning_recorded(self, warning_message: Any, nodeid: str) -> None:
        """Take in what pytest will print of a warning."""
        self.hear(f"a warning of {nodeid}", str(warning_message.message))

    # --- looking ------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Scan; a hit fails the session."""
        if self._root is not None:
            tally = self.scan()
            self._tallies.append(tally)
            output = getattr(session.config, "workeroutput", None)
            if output is not None:  # pytest-xdist: the controller tells, which runs no test itself
                output["canary"] = [*tally[:3], [tuple(hit) for hit in tally.hits]]
        if any(tally.hits for tally in self._tallies) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def scan(self) -> Tally:
        """Look through everything that this session and its children left behind."""
        assert self._root is not None
        paths = [path for path in self._root.rglob("*") if path.is_file()]
        paths += [path for path in _REPOSITORY.glob("core*") if path.is_file()]
        for path in filter(may_hold_secrets, paths):
            self.secrets |= keys_in(path)
        said = self._root / "canary" / "captured"
        with said.open("wb") as file:
            for who, words in self._said:
                file.write(f"\n== canary: {who} ==\n".encode("utf-8", "replace"))
                file.write(words if isinstance(words, bytes) else words.encode("utf-8", "replace"))
        self._said.clear()
        return scan_files(self.secrets - published(self.secrets, _TESTS), [*paths, said])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what a worker of pytest-xdist has found."""
        told = getattr(node, "workeroutput", {}).get("canary")
        if told is not None:
            secrets, files, size, hits = told
            self._tallies.append(Tally(secrets, files, size, [Hit(*hit) for hit in hits]))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how much was looked at, and where a secret lies."""
        if not self._tallies:
            return
        columns = list(zip(*self._tallies, strict=True))
        hits = [hit for tally in self._tallies for hit in tally.hits]
        total = Tally(sum(columns[0]), sum(columns[1]), sum(columns[2]), hits)
        terminalreporter.write_line(str(total), red=bool(hits))
        for hit in hits[:_HITS_SHOWN_MAX]:
            terminalreporter.write_line(str(hit), red=True)
