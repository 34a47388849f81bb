"""A paper account and its server process, for the time of a measurement.

Run as a module it is the server: `python -m tests.benchmarks.place SERVER_TOML`. Its backend is the
paper broker, but an order whose comment says `hang` keeps the broker call for a while.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge_core.host.clock import Clock
from bridge_core.protocol.messages import Open
from bridge_server.backends.paper import PaperBackend
from bridge_server.core.ports import Outcome, Submission
from bridge_server.settings import Overrides, ServerSettings, load_settings
from bridge_server.wiring import Hop, build_server

HANG_S = 6.0
# The default rates would measure the rate limiter.
RATES = (
    "\n[rates]\nentry_per_s = 100000\naccount_entry_per_s = 100000\nreduce_per_s = 100000\n"
    "settle_per_s = 100000\n"
)


class HangingPaper(PaperBackend):
    """The paper broker; one comment makes it hang."""

    def execute(self, submission: Submission) -> Outcome:
        """Hang first where the comment says so."""
        if isinstance(submission.body, Open) and submission.body.comment == "hang":
            time.sleep(HANG_S)
        return super().execute(submission)


def _backend(settings: ServerSettings, base: Path, clock: Clock, _hop: Hop) -> HangingPaper:
    return HangingPaper(
        settings.paper,
        symbols=tuple(settings.allowed_symbols),
        folder=base / settings.state,
        base=base,
        clock=clock,
    )


@contextmanager
def account(folder: Path, port: int) -> Iterator[Path]:
    """Make an account, serve it, yield its connector folder, stop the server."""
    subprocess.run(
        [
            sys.executable, "-m", "bridge_client", "init", "bench", "--symbol", "EURUSD",
            "--max-volume", "0.01", "--out", str(folder), "--port", str(port),
        ],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    home = folder / "bench"
    for side in ("server/server.toml", "connector/connector.toml"):
        path = home / side
        path.write_text(path.read_text().replace("max_positions = 1 ", "max_positions = 10000 "))
        path.write_text(path.read_text() + RATES)
    config = home / "server" / "server.toml"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.place", str(config)], stderr=subprocess.DEVNULL
    )
    try:
        yield home / "connector"
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def main(config: Path) -> int:
    """Serve until SIGTERM."""
    settings = load_settings(config, Overrides())
    server = build_server(settings, config.parent, make_backend=_backend)
    signal.signal(signal.SIGTERM, lambda *_: server.service.ask_stop())
    return server.run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
