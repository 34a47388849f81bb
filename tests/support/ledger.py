"""The ledger judge under the name the simulator and the acceptance tests use."""

from __future__ import annotations

from bridge_core.host.ledger import Held, LedgerLine, SignedOrder, Verdict, judge, read_ledger

__all__ = ["Held", "LedgerLine", "SignedOrder", "Verdict", "judge", "read_ledger"]
