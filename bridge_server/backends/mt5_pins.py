"""Which terminal and which account are the ones: compared in the worker and in the link.

The words of the account are this project's: demo, contest, real; hedging, netting.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

__all__ = ["Mt5Pins", "kind_of", "margin_of", "wrong_account"]

# MetaTrader 5 documentation, ENUM_ACCOUNT_TRADE_MODE and ENUM_ACCOUNT_MARGIN_MODE. On an exchange
# account there is one position per symbol, as on any netting account.
_KINDS: Final = {0: "demo", 1: "contest", 2: "real"}
_MARGINS: Final = {0: "netting", 1: "netting", 2: "hedging"}


class Mt5Pins(Struct, frozen=True, kw_only=True):
    """The account that the terminal must be logged in to; `margin` "" pins no margin mode."""

    login: int
    server: str
    kind: str
    margin: str = ""


def kind_of(account: Mapping[str, object]) -> str:
    """Return demo, contest, real, or "unknown(N)": a number nobody listed is never guessed."""
    mode = account.get("trade_mode")
    return _KINDS.get(mode, f"unknown({mode})") if isinstance(mode, int) else "unknown"


def margin_of(account: Mapping[str, object]) -> str:
    """Return hedging, netting, or "unknown(N)"."""
    mode = account.get("margin_mode")
    return _MARGINS.get(mode, f"unknown({mode})") if isinstance(mode, int) else "unknown"


def wrong_account(
    pins: Mt5Pins | None, path: str, terminal: Mapping[str, object], account: Mapping[str, object]
) -> str:
    """Return how terminal and account differ from the pinned ones, "" if they do not."""
    wrong = []
    shown = str(terminal.get("path", ""))
    if not _same_folder(shown, path):
        wrong.append(f"terminal {shown}")
    if pins is not None:
        seen = {
            "login": account.get("login"),
            "server": account.get("server"),
            "kind": kind_of(account),
            "margin": margin_of(account),
        }
        wrong += [
            f"{name} {word}"
            for name, word in seen.items()
            if word != getattr(pins, name) and not (name == "margin" and not pins.margin)
        ]
    return ", ".join(wrong)


def _same_folder(shown: str, path: str) -> bool:
    """Whether the folder that a terminal names is the one of the configured program."""
    folder = Path(path).parent
    try:
        return os.path.samefile(shown, folder)  # noqa: PTH121  `shown` may be empty: no Path(".")
    except OSError:
        return os.path.normcase(os.path.normpath(shown)) == os.path.normcase(folder)
