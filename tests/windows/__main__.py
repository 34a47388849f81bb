"""`make windows-check`: the product on Windows; under wine, where this is Linux.

    python -m tests.windows                # all of it
    python -m tests.windows -k ACL         # pytest's options go to both runs

On Windows the tests of INSIDE run as they are. On Linux a bottle is made (bottle.py), they run in
it, and the tests of OUTSIDE drive a server in it. Exit code 0 also where wine cannot be had, with
a clear word; with ZTB_REQUIRE set that is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Final

from tests.windows.bottle import ROOT, Bottle, NoWineError, open_bottle

__all__ = ["INSIDE", "OUTSIDE", "main"]

# What could differ on Windows: paths, locks, access lists, processes, signals, sockets, files.
INSIDE: Final = (
    "tests/windows/test_inside.py",
    "tests/windows/test_wheel.py",
    "tests/windows/test_wheel_pipe.py",
    "tests/windows/test_worker.py",
    "tests/host",
    "tests/server/test_settings.py",
    "tests/server/test_checks.py",
    "tests/server/test_journal.py",
    "tests/server/test_services.py",
    "tests/server/mt5/test_link_calls.py",
    "tests/server/mt5/test_link_connect.py",
    "tests/server/mt5/test_link_status.py",
    "tests/client/test_with_the_real_server.py",
)
OUTSIDE: Final = ("tests/windows/test_server_in_wine.py",)
_INSIDE_S: Final = 1_800.0


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _pytest(*paths: str) -> list[str]:
    return ["-m", "pytest", "-q", "-m", "not long", "-p", "no:cacheprovider", *paths]


def _inside(bottle: Bottle, options: list[str]) -> int:
    paths = [path for path in INSIDE if (ROOT / path).exists()]
    _say(f"in the bottle: {' '.join(paths)}")
    process = bottle.start(
        *_pytest("--basetemp", r"C:\temp\pytest", *paths), *options,
        cwd=bottle.drive / "tree", env={"TEMP": r"C:\temp", "TMP": r"C:\temp"},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
        return process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()


def _outside(bottle: Bottle, options: list[str]) -> int:
    _say(f"from Linux: {' '.join(OUTSIDE)}")
    command = [sys.executable, *_pytest(*OUTSIDE), *options]
    env = {**os.environ, "ZTB_WINE": bottle.wine}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def main(options: list[str]) -> int:
    """Run everything; 0 if nothing failed."""
    if sys.platform == "win32":
        paths = [path for path in INSIDE if (ROOT / path).exists()]
        return subprocess.run(
            [sys.executable, *_pytest(*paths), *options], cwd=ROOT, check=False
        ).returncode
    try:
        with open_bottle(_say) as bottle:
            codes = [_outside(bottle, options), _inside(bottle, options)]
    except NoWineError as error:
        print(f"windows-check: SKIPPED: {error}", flush=True)
        return 1 if os.environ.get("ZTB_REQUIRE") else 0
    _say("windows-check: " + ("passed" if not any(codes) else f"FAILED {codes}"))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
