"""`ztb alerts test`: send one alert through connector.toml's webhook, and say what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_client.cli.exits import UsageError
from bridge_client.cli.output import Answer
from bridge_client.cli.places import place_of
from bridge_core.host.alert_settings import load_destination
from bridge_core.host.alert_trial import OFF, try_out
from bridge_core.host.webhook import Origin

if TYPE_CHECKING:
    from bridge_client.cli.main import Context

__all__ = ["test"]


def test(ctx: Context) -> Answer:
    """Send one; nobody asks the server."""
    place = place_of(ctx.args)
    settings = place.settings
    if settings.alerts is None:
        raise UsageError(OFF.format(file=place.path), "NO_ALERTS")
    destination = load_destination(settings.alerts, place.path.parent)
    tried = try_out(destination, Origin(settings.account, settings.mode, "connector"))
    ctx.out.fields(
        [
            ("sent to", destination.where),
            ("format", destination.format),
            ("result", tried.finding),
            ("answer", tried.answer),
            ("fix", tried.fix),
        ]
    )
    data = {
        "to": destination.where,
        "format": destination.format,
        "status": tried.status,
        "ms": tried.ms,
        "finding": tried.finding,
        "fix": tried.fix,
    }
    return Answer(tried.exit, data)
