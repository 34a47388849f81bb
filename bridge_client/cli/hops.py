"""What a doctor knows of the hop behind the server: its health, and rows of GET_LIMITS about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bridge_client.cli.asking import server_limits
from bridge_client.cli.checkup import SAID, Finding, Patient, skip

if TYPE_CHECKING:
    from bridge_client.views import Hop

__all__ = ["AWAY", "UNHEARD", "Behind", "heard"]

AWAY: Final = "no authenticated server"
UNHEARD: Final = "the server did not answer HEALTH: see server.terminal"


class Behind(NamedTuple):
    """One kind of hop: its name in HEALTH, its rows' prefix, what an empty row and no hop mean."""

    hop: str
    prefix: str
    silent: str
    none: str

    def rows(self, patient: Patient) -> dict[str, str]:
        """Return what the server passes on of it; {} without a server or such a hop."""
        if patient.hello is None or patient.bridge is None:
            return {}
        if self.prefix not in patient.told:
            found = server_limits(patient.bridge)
            patient.told[self.prefix] = {
                row.name: row.value for row in found if row.name.startswith(self.prefix)
            }
        return patient.told[self.prefix]

    def nothing(self, patient: Patient, *names: str) -> Finding | None:
        """Return why nothing can be said, or None when the server told each of these rows."""
        if patient.hello is None:
            return skip(AWAY)
        rows = self.rows(patient)
        if not rows and self.health(patient) is None:
            return skip(SAID)  # by the check of the hop itself
        untold = [name for name in names if name not in rows]
        if untold:
            return skip(f"the server does not say {untold[0]}")
        return skip(self.silent) if any(not rows[name] for name in names) else None

    def health(self, patient: Patient) -> Hop | None:
        """Return the hop as HEALTH shows it, None if there is none."""
        hops = () if patient.health is None else patient.health.hops
        return next((one for one in hops if one.hop == self.hop), None)

    def missing(self, patient: Patient) -> Finding:
        """Return why HEALTH shows no such hop: without an answer to it nobody knows of one."""
        return skip(self.none if heard(patient) else UNHEARD)


def heard(patient: Patient) -> bool:
    """Return whether the server answered HEALTH."""
    return patient.health is not None and not patient.health.why
