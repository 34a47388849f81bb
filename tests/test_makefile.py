"""What `make` says on a machine that is not ready: one sentence, with the command that mends it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("sh", "mkdir", "rm", "touch", "echo")
TOO_OLD = '#!/bin/sh\necho ""\n'
NO_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) echo 3.12;; esac\n'
MANAGERS = {"apt-get": "apt-get install", "dnf": "dnf install", "brew": "brew "}

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("make") is None, reason="platform: needs make"
)


def run_make(folder: Path, target: str, *, python: str | None, manager: str | None) -> list[str]:
    """Run make where only these programs exist; return what it said before make's own line."""
    tools = folder / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    programs = {"python3": python, manager or "none": "#!/bin/sh\nexit 0\n"}
    for program, text in programs.items():
        if text is not None:
            (tools / program).write_text(text)
            (tools / program).chmod(0o755)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    make = shutil.which("make")
    assert make is not None
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        [make, target],
        cwd=folder,
        env={**clean, "PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode != 0
    assert not (folder / ".venv").exists()
    return [line for line in done.stderr.splitlines() if not line.startswith("make")]


@pytest.mark.parametrize("target", ["demo", "test"])
@pytest.mark.parametrize("manager", [*MANAGERS, None])
@pytest.mark.parametrize(
    ("python", "said"),
    [
        (None, "This needs Python 3.11 or newer"),
        (TOO_OLD, "This needs Python 3.11 or newer"),
        (NO_VENV, "Python 3.12 was found but its venv module is missing"),
    ],
)
def test_a_missing_python_or_venv_is_one_sentence_with_the_command_that_mends_it(
    tmp_path: Path, target: str, manager: str | None, python: str | None, said: str
) -> None:
    lines = run_make(tmp_path, target, python=python, manager=manager)
    assert len(lines) == 1, lines
    assert lines[0].startswith(said)
    assert MANAGERS.get(manager or "", "python.org") in lines[0]


def test_every_promised_target_is_there() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("help", "demo", "test", "test-long", "check", "bench", "soak", "ea-check"):
        assert f"\n{target}:" in text
    assert "pypi" not in text.lower()


def test_ci_runs_both_and_minds_skips() -> None:
    script = ROOT / ".ci/run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert text.index("ZTB_REQUIRE=1") < text.index("make test\n") < text.index("make test-long")


def _would_run(*given: str) -> list[str]:
    """Return the words of the last command that make would run."""
    make = shutil.which("make")
    assert make is not None
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        [make, "--no-print-directory", "-n", "-o", ".venv/.test", *given],
        cwd=ROOT, env=clean, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return shlex.split(done.stdout.splitlines()[-1])


def test_the_short_run_leaves_out_only_what_is_played_beside_it() -> None:
    words = _would_run("test-rest")
    assert [word for word in words if word.startswith("tests")] == []
    left_out = {word.removeprefix("--ignore=") for word in words if word.startswith("--ignore=")}
    core = (ROOT / "Makefile").read_text("utf-8").partition("PURE_TESTS := ")[2].splitlines()[0]
    beside = {*_would_run("test-crash"), *core.split()}
    assert left_out
    assert left_out <= beside
    assert all((ROOT / name).exists() for name in left_out)


def test_the_long_run_has_every_file_that_holds_a_long_test() -> None:
    words = {word for word in _would_run("WHICH=long", "test-rest") if word.startswith("tests/")}
    words |= {word for word in _would_run("WHICH=long", "test-crash") if word.startswith("tests/")}
    marked = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if "mark." + "long" in path.read_text("utf-8")
    ]
    played = [one for one in marked if any(one.startswith(word) for word in words)]
    assert len(marked) > 30
    assert played == marked
