"""The account of one demo: its limits, and a price file that grows as the strategy asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from bridge_client.demo.prices import SYMBOL, Tape
from bridge_client.house import PaperHouse, make_account
from bridge_core.protocol.errors import ConfigError

__all__ = ["ACCOUNT", "CLIENT", "CONNECTOR_LOTS", "SERVER_LOTS", "House"]

ACCOUNT: Final = "demo"
CLIENT: Final = "demo"
CONNECTOR_LOTS: Final = "1.00"
SERVER_LOTS: Final = "0.10"
_POSITIONS: Final = 12


class House(PaperHouse):
    """One account's folder and its server process."""

    def __init__(self, out: Path, tape: Tape, seed: int) -> None:
        """Make the account, then let its server follow the growing price file.

        Raises:
            ConfigError: `ztb init` failed; says why.
        """
        port = make_account(out, ACCOUNT, [SYMBOL], CONNECTOR_LOTS)
        super().__init__(out / ACCOUNT, port)
        self.prices = self.server_folder / "prices.csv"
        self.connector_journal = self.folder / "connector" / "state" / f"{CLIENT}.db"
        feed = [
            'paper.prices = "prices.csv"',
            "paper.follow = true",
            f"paper.spread_from_file = {str(tape.spread_from_file).lower()}",
            f"paper.seed = {seed % 2**31}",
            f'paper.source_note = "{_plain(tape.caution)}"',
            f"paper.symbols.{SYMBOL} = {{ digits = {tape.digits} }}",
        ]
        _replace(self.server_toml, r"paper\.prices = .*", "\n".join(feed))
        _replace(self.server_toml, r"max_volume = \S+", f"max_volume = {SERVER_LOTS}")
        for file in (self.server_toml, self.connector_toml):
            _replace(file, r"max_positions = \S+", f"max_positions = {_POSITIONS}")
        self.prices.write_text(f"{tape.header}\n" if tape.header else "", "utf-8", newline="\n")

    def append(self, line: str) -> None:
        """Let the market have its next price."""
        with self.prices.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{line}\n")


def _plain(text: str) -> str:
    return re.sub(r"[^ !#-\[\]-~]", " ", text)[:100]


def _replace(file: Path, pattern: str, text: str) -> None:
    before = file.read_text("utf-8")
    after, times = re.subn(rf"(?m)^{pattern}", lambda _: text, before)
    if not times:
        raise ConfigError("INIT", f"{file} has no line {pattern!r}: `ztb init` has changed")
    file.write_text(after, "utf-8", newline="\n")
