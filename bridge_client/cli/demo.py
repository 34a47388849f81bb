"""`ztb demo`: hands over to `bridge_client.demo`, which talks and ends by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_client.cli.output import Answer

if TYPE_CHECKING:
    from bridge_client.cli.main import Context

__all__ = ["run"]


def run(ctx: Context) -> Answer:
    """Run the demo with its own arguments."""
    from bridge_client.demo import main  # noqa: PLC0415  (a room of its own)

    return Answer(main(list(ctx.args.rest)))
