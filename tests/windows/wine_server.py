"""`ztb-server run` in the bottle, as a user would start it, and what the Linux side needs of it."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Final, NamedTuple, Self

from tests.support.running import free_port, wait_until
from tests.windows.bottle import UMASK, Bottle

__all__ = ["Template", "WineAccount", "WineServer", "make_template"]

_START_S: Final = 90.0
_STOP_S: Final = 30.0
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Template(NamedTuple):
    """A paper account made once by `ztb init` in the bottle."""

    folder: Path
    port: int


def make_template(bottle: Bottle) -> Template:
    """Make the account that every test gets a copy of; starting Python there takes seconds."""
    folder, port = bottle.drive / "template", free_port()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    bottle.must(
        "-m", "bridge_client", "init", "demo", "--symbol", "EURUSD", "--max-volume", "1",
        "--out", r"C:\template", "--port", str(port),
    )  # fmt: skip
    return Template(folder, port)


class WineAccount:
    """An account in the bottle; its bundles are copied out of it, as by hand."""

    def __init__(self, bottle: Bottle, template: Template, copies: Path) -> None:
        self.bottle = bottle
        self.port = free_port()
        self.place = bottle.drive / f"account-{self.port}"
        self._copies = copies
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(template.folder, self.place)
        for path in self.place.rglob("*.toml"):
            text = path.read_text("utf-8").replace(str(template.port), str(self.port))
            path.write_text(re.sub("max_positions = .", "max_positions = 9", text), "utf-8")

    @property
    def config(self) -> str:
        """The server's configuration as the server names it."""
        return f"C:\\{self.place.name}\\demo\\server\\server.toml"

    @property
    def state(self) -> Path:
        return self.place / "demo" / "server" / "state"

    @property
    def log(self) -> str:
        return (self.place / "demo" / "server" / "log" / "server.log").read_text("ascii")

    def bundle(self, who: str = "connector") -> Path:
        """Copy a bundle to this side and close its key files to others, as the README says."""
        target = self._copies / who
        if not target.exists():
            shutil.copytree(self.place / "demo" / who, target)
            for path in (target, *target.rglob("*")):
                path.chmod(0o700 if path.is_dir() else 0o600)
            config = target / "connector.toml"
            text = config.read_text("utf-8")
            assert f":{self.port}" in text, text
        return target


class WineServer:
    """One run of the server on a console of its own: Ctrl-C can be typed, the process be killed."""

    def __init__(self, account: WineAccount, *words: str) -> None:
        self.account = account
        bottle = account.bottle
        console, inner = pty.openpty()
        chosen = words or ("-m", "bridge_server", "run", "--config", account.config)
        self._process = subprocess.Popen(
            bottle.command(*chosen), cwd=account.place, env=bottle.environment(), stdin=inner,
            stdout=inner, stderr=inner, start_new_session=True, umask=UMASK,
            preexec_fn=_take_console,  # noqa: PLW1509  no locks are taken in between
        )  # fmt: skip
        os.close(inner)
        self._console = console
        self._seen: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._console, 4096)
            except OSError:  # how a terminal says that nobody holds its other end any more
                return
            if not data:
                return
            self._seen.append(data)

    @property
    def output(self) -> str:
        """What is on its console."""
        return _COLOURS.sub("", b"".join(self._seen).decode("utf-8", "replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self._console)

    def wait_for(self, words: str, seconds: float = _START_S) -> None:
        """Wait until `words` are on the console."""

        def there() -> bool:
            assert self._process.poll() is None, self.output
            return words in self.output.replace("\n", "")

        wait_until(there, seconds)

    def press_ctrl_c(self) -> None:
        """Press the keys; the console turns them into an event, as on Windows."""
        os.write(self._console, b"\x03")

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._console, text.encode("ascii") + b"\r")

    def kill(self) -> None:
        """End the process at once, if it still lives; nothing in it runs any more."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        code = self._process.wait(_STOP_S)
        self._reader.join(2)
        return code


def _take_console() -> None:
    import fcntl  # in the child, between fork and exec
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
