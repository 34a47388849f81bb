"""`make demo EA=1`: orders through the Advisor's real source, which is then killed and lied to.

    python -m tests.mql4.demo [--keep]

A real server process, a connector as a strategy has it, and `BridgeEA.mq4` translated and compiled,
attached to a simulated terminal and broker. One act a line: what was done, what came of it, who
attests it. At the end the broker's own book is judged: at most one submission for each order, none
for what nobody signed. Exit code 0 only if every act went as it must.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Final, NamedTuple

from bridge_client import Connector, OrderResult, PositionClosed, Status
from bridge_client.cli.main import main as ztb
from bridge_client.evidence import SignedRow, signed_rows
from bridge_core.host.bundles import ServerKeys, load_server_keys
from bridge_core.host.sockets import CurveKeys
from bridge_core.protocol.messages import Open
from bridge_core.protocol.operations import Scope
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import parse_request
from tests.mql4.build import build, missing
from tests.mql4.hop import Hop, Keyring, Message
from tests.mql4.terminal import Terminal
from tests.support.crash_matrix import would_go
from tests.support.running import free_port

__all__ = ["main"]

ROOT: Final = Path(__file__).resolve().parents[2]
INPUTS: Final[Mapping[str, str | int | float | bool]] = {
    "Symbols": "EURUSD", "MaxLots": 0.02, "MaxPositions": 3, "ExpectedAccount": 12345678,
    "ExpectedServer": "Broker-Demo", "SettleSeconds": 1,
}  # fmt: skip
_START_S: Final = 60.0  # a lost Advisor is forgiven after 30 s
_BOOT_FENCE_S: Final = 1.2


class Act(NamedTuple):
    """One line of the table."""

    what: str
    result: str
    word: str
    ms: float
    held: bool


class House:
    """The account, its server process and its terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder / "gold", free_port()
        words = [
            "init", "gold", "--symbol", "EURUSD", "--max-volume", "0.05", "--backend", "ea",
            "--mode", "live", "--login", "12345678", "--broker-server", "Broker-Demo",
            "--kind", "demo", "--port", str(self.port), "--out", str(folder), "--quiet",
        ]  # fmt: skip
        with redirect_stdout(io.StringIO()):
            assert ztb(words) == 0, "no account"
        for side in ("server/server.toml", "connector/connector.toml"):
            path = self.folder / side
            path.write_text(path.read_text().replace("max_positions = 1", "max_positions = 3"))
        self.terminal = Terminal(folder / "terminal", inputs=INPUTS)
        shutil.copy(self.folder / "ea/bridge.key", self.terminal.files / "bridge.key")
        # Two new quotes of any symbol tell the broker's clock, and so what a day is.
        self.terminal.command("walk", "USDJPY", 1, 200)
        self._server: subprocess.Popen[bytes] | None = None
        self._attached = 0.0
        self._said = (folder / "server.log").open("ab")

    def start_terminal(self) -> None:
        """Start the terminal with the Advisor in it.

        Raises:
            AssertionError: the Advisor does not start; with what it said.
        """
        assert self.terminal.start() == 0, self.terminal.prints
        self._attached = time.monotonic()

    def start_server(self) -> None:
        """Start `ztb-server run`."""
        config = str(self.folder / "server/server.toml")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "bridge_server", "run", "--config", config],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=self._said,
        )  # fmt: skip

    def stop_server(self) -> None:
        """End it, so that another may sit in its place."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            self._server.wait(_START_S)
            self._server = None

    def connector(self, side: str = "connector") -> Connector:
        """A strategy's connector, or the operator's."""
        return Connector.from_config(self.folder / side, client="demo")

    def ready(self, bridge: Connector) -> None:
        """Wait until server, Advisor and connector see each other, and a fresh order may run.

        What was signed until a second after its start an Advisor does not run: a former one may
        have run it (protocol.md 14).
        """
        wait(lambda: bridge.health().state == "ACTIVE", "the way to the broker is not open")
        wait(lambda: time.monotonic() > self._attached + _BOOT_FENCE_S, "the clock stands")
        wait(lambda: would_go(bridge), "an order would be refused")

    def keys(self) -> ServerKeys:
        """All that a server taken over could hold."""
        return load_server_keys(self.folder / "server/keys/server.key")

    def rows(self) -> dict[str, SignedRow]:
        """What the connector signed, by client_order_id."""
        journal = self.folder / "connector/state/demo.db"
        return {row.client_order_id: row for row in signed_rows(journal)}


def wait(holds: Callable[[], bool], why: str) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it did not in a minute.
    """
    until = time.monotonic() + _START_S
    while not holds():
        assert time.monotonic() < until, why
        time.sleep(0.02)


class _Stolen(Keyring):
    """What somebody has who owns the server's machine, and no more."""

    def __init__(self, own: ServerKeys) -> None:
        super().__init__(acct=own.acct)
        self.server = own.curve()
        self.ea = CurveKeys(own.ea_public.encode("ascii"), b"")

    def forge(self, row: SignedRow) -> Frames:
        """An order in a signer's name: the key id is right, the key cannot be."""
        token = parse_request(row.frames.token)
        assert token is not None
        self.sets[token.kid] = self.new_set(Scope.TRADE, token.kid)
        return self.sign(row.order.op, row.order.body, token.kid)


class _Rogue(Hop):
    """Sits where the server sat; it cannot check the Advisor's events and does not care."""

    def _take_event(self, message: Message) -> None:
        del message


class Play:
    """The acts, in order."""

    def __init__(self, house: House, bridge: Connector) -> None:
        self._house, self._bridge = house, bridge
        self.acts: list[Act] = []

    def _note(self, what: str, act: Callable[[], OrderResult], wanted: str) -> OrderResult:
        begun = time.perf_counter()
        done = act()
        ms = (time.perf_counter() - begun) * 1000
        said = f"{done.status}{'' if done.code in ('', '-') else f' {done.code}'}"
        word = "verified" if done.attested else "none"
        self._add(Act(what, said, word, ms, said.startswith(wanted) and done.attested))
        return done

    def _add(self, act: Act) -> None:
        self.acts.append(act)
        took = f"{act.ms:8.1f} ms" if act.ms else " " * 11
        print(f"{'ok  ' if act.held else 'FAIL'} {act.what:<46} {act.result:<24} "
              f"{act.word:<9}{took}", flush=True)  # fmt: skip

    def trade(self) -> None:
        """An order's ordinary life, and the Advisor's own cap."""
        bridge, terminal = self._bridge, self._house.terminal
        self._note(
            "buy 0.01 with sl and tp",
            lambda: bridge.buy("EURUSD", "0.01", sl="1.08000", tp="1.09500", client_order_id="a"),
            "FILLED",
        )
        result = bridge.order_status("a")
        self._note("move the sl", lambda: bridge.modify_position(result, sl="1.08300"), "DONE")
        self._note(
            "buy 0.05, over the Advisor's own MaxLots",
            lambda: bridge.buy("EURUSD", "0.05", client_order_id="b"),
            "DENIED MAX_VOLUME",
        )
        terminal.command("price", "EURUSD", "1.08290", "1.08302")
        closed: list[PositionClosed] = []
        until = time.monotonic() + _START_S
        while not closed and time.monotonic() < until:
            for event in bridge.events("EURUSD", timeout=0.5):
                if isinstance(event, PositionClosed):
                    closed.append(event)
                if event is None or closed:
                    break
        reason = closed[0].reason if closed else "no event"
        self._add(Act("the price falls through the sl", f"closed: {reason}", "event", 0.0,
                      reason == "SL"))  # fmt: skip

    def die(self) -> None:
        """The terminal dies while the broker executes; the order is known all the same."""
        bridge, terminal = self._bridge, self._house.terminal
        terminal.command("die", "OrderSend", "inside")
        lost = bridge.buy("EURUSD", "0.02", client_order_id="c", wait=3.0)
        self._add(Act("the terminal dies inside the broker's call", str(lost.status), "none", 0.0,
                      lost.status in (Status.UNKNOWN, Status.PENDING)))  # fmt: skip
        terminal.wait_dead()
        self._house.start_terminal()
        self._note(
            "it starts again: what became of the order?",
            lambda: bridge.wait("c", timeout=_START_S),
            "FILLED",
        )

    def rule(self) -> None:
        """Halt, resume, flatten."""
        bridge = self._bridge
        self._house.ready(bridge)
        bridge.halt("the demo")
        denied = bridge.buy("EURUSD", "0.01", client_order_id="d")
        self._add(Act("buy while halted: the server refuses", f"{denied.status} {denied.code}",
                      "none", 0.0, denied.status is Status.DENIED))  # fmt: skip
        # Quotes go on moving the broker's clock: the Advisor has to see that its history is whole.
        wait(lambda: bridge.order_status("d").attested, "the Advisor did not bury it")
        self._note("the Advisor swears that it never will run",
                   lambda: bridge.order_status("d"), "DENIED")  # fmt: skip
        self._note("flatten while halted", lambda: bridge.flatten("the demo"), "DONE")
        left = len(self._house.terminal.orders())
        self._add(Act("what the broker still shows", f"{left} positions", "", 0.0, not left))
        with self._house.connector("operator") as operator:
            operator.resume("OPERATOR", "the demo goes on")

    def betray(self) -> None:
        """Somebody with every key of the server sits in its place."""
        house = self._house
        row, submitted = house.rows()["a"], len(house.terminal.submissions())
        house.stop_server()
        stolen = _Stolen(house.keys())
        with _Rogue(stolen, house.port + 2) as rogue:
            rogue.welcome("f" * 16)
            again = rogue.ask("EXEC", 0, frames=row.frames)
            same = bool(row.view.ea) and again["record"] == row.view.ea
            self._add(Act("a stolen server sends an old order again", again["status"],
                          "the same" if same else "another", 0.0, same))  # fmt: skip
            for what, frames in (
                ("  with 9.01 lots instead of 0.01", row.frames._replace(
                    body=row.frames.body.replace(b'"0.01"', b'"9.01"'))),
                ("  signed with the keys that it has", stolen.forge(row)),
            ):  # fmt: skip
                before = int(rogue.beat()["dropped"])
                rogue.say("EXEC:900:0", frames)
                rogue.silence("ANSWER", 0.4)
                dropped = int(rogue.beat()["dropped"]) - before
                self._add(Act(what, f"dropped +{dropped}", "", 0.0, dropped == 1))
        more = len(house.terminal.submissions()) - submitted
        self._add(Act("what the broker was asked meanwhile", f"{more} submissions", "", 0.0,
                      not more))  # fmt: skip
        house.start_server()
        house.ready(self._bridge)

    def judge(self) -> None:
        """The broker's own book against what was signed."""
        sent = [line["magic"] for line in self._house.terminal.submissions("OPEN")]
        opened = [row for row in self._house.rows().values() if isinstance(row.order.body, Open)]
        magics = [make_tag("gold", row.rid).mt4_magic for row in opened]
        worst = max((sent.count(magic) for magic in magics), default=0)
        strangers = sum(magic not in magics for magic in sent)
        sum_up = f"{len(opened)} orders to open, {len(sent)} submissions"
        self._add(Act(sum_up, f"{worst} at most for one", "", 0.0, worst == 1))
        self._add(Act("submissions that nobody signed", str(strangers), "", 0.0, not strangers))


def play(folder: Path) -> bool:
    """Run all of it in a folder; return whether every act held."""
    house = House(folder)
    try:
        with house.terminal:
            house.start_terminal()
            # Last, since an Advisor that is late counts as one that was lost.
            house.start_server()
            with house.connector() as bridge:
                house.ready(bridge)
                show = Play(house, bridge)
                for part in (show.trade, show.die, show.rule, show.betray, show.judge):
                    part()
    finally:
        house.stop_server()
    return all(act.held for act in show.acts)


def main(words: list[str] | None = None) -> int:
    """Build the Advisor, play, and say where the traces are."""
    parser = argparse.ArgumentParser(prog="python -m tests.mql4.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the folder afterwards")
    args = parser.parse_args(words)
    if why := missing():
        print(f"skipped: EA source ({why})", file=sys.stderr)
        return 3
    patience = threading.Timer(3.0, print, ["compiling the Advisor (once; a minute or two) ..."])
    patience.start()
    try:
        build("Experts/BridgeEA.mq4")
    finally:
        patience.cancel()
    folder = Path(tempfile.mkdtemp(prefix="ztb-ea-demo-"))
    try:
        held = play(folder)
    finally:
        if args.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            with suppress(OSError):
                shutil.rmtree(folder)
    print("every act went as it must" if held else "something did not go as it must")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
