"""The server's pre-trade checks: its ordered list out of the checks that both sides share.

What each of them does is in `bridge_core.risk`; which numbers there are, which of them the server
asks and where the others live is the table of controls (protocol.md 6.2).
"""

from __future__ import annotations

from typing import Final

from bridge_core.protocol.codes import Refusal
from bridge_core.risk import controls
from bridge_core.risk.controls import Check, checks_of
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture
from bridge_server.core.proposal import Ours, propose

__all__ = ["CHECKS", "Check", "Ours", "Picture", "Proposal", "first_refusal", "propose"]

CHECKS: Final[tuple[Check, ...]] = checks_of("S")


def first_refusal(order: Proposal, picture: Picture) -> Refusal | None:
    """Return the first refusal in precedence order, or None when every check passes."""
    return controls.first_refusal(order, picture, CHECKS)
