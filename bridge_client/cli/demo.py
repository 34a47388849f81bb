"""`ztb demo`: hands over to `bridge_client.demo`, which talks and judges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bridge_client.cli.output import Answer

if TYPE_CHECKING:
    from bridge_client.cli.main import Context

__all__ = ["run"]


def run(ctx: Context) -> Answer:
    """Run the demo."""
    from bridge_client.demo import DemoOptions, play  # noqa: PLC0415  (a room of its own)

    args = ctx.args
    options = DemoOptions(
        prices=Path(args.prices) if args.prices else None,
        seed=args.seed,
        fixings=args.fixings,
        rate=args.rate,
        keep=args.keep,
    )
    return play(options, ctx.out)
