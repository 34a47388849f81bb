"""Before money moves: name account, mode and file, then ask on a terminal or demand `--yes`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bridge_client.cli.exits import UsageError

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.cli.places import Place

__all__ = ["agree", "announce", "confirm"]


def announce(ctx: Context, place: Place, what: str) -> None:
    """Name what is about to be signed and for whom. `--quiet` does not silence this."""
    held = place.settings
    ctx.out.warn(f"account {held.account}, mode {held.mode}, file {place.path}")
    ctx.out.warn(what)


def confirm(ctx: Context, place: Place, what: str, *, alias: bool = False) -> None:
    """Announce, then return only if a person or `--yes` agrees.

    `alias`: the account's name must be typed, not just y.

    Raises:
        UsageError: NEEDS_YES without a terminal, NOT_CONFIRMED when the person declined.
    """
    announce(ctx, place, what)
    if alias:
        agree(ctx, place.settings.account, "Type the account name to go on: ")
    else:
        agree(ctx, "y", "Go on? [y/N] ")


def agree(ctx: Context, word: str, question: str) -> None:
    """Return only if a person types the word, or `--yes` was given; for "y" also yes.

    Raises:
        UsageError: NEEDS_YES without a terminal, NOT_CONFIRMED when the person declined.
    """
    if ctx.args.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "nothing was sent: there is no terminal to ask on, so add --yes", "NEEDS_YES"
        )
    print(question, end="", file=sys.stderr, flush=True)
    given = sys.stdin.readline().strip()
    if (given.lower().removesuffix("es") if word == "y" else given) != word:
        raise UsageError("nothing was sent: you did not agree", "NOT_CONFIRMED")
