"""Which modules are mutated, and which fast tests have to notice."""

from __future__ import annotations

from typing import Final

__all__ = ["PLAN"]

# The module's own tests first: the run of a mutant ends with the first that fails. Only tests that
# run the module in their own process count, a child process would import the file as it is.
PLAN: Final[dict[str, tuple[str, ...]]] = {
    "bridge_core/protocol/signing.py": (
        "tests/protocol/test_signing.py",
        "tests/server/core/test_values.py",
        "tests/protocol/test_vectors.py",
        "tests/server/core/test_authenticate.py",
    ),
    "bridge_core/protocol/token.py": (
        "tests/protocol/test_token_bounds.py",
        "tests/protocol/test_token.py",
        "tests/protocol/test_vectors.py",
        "tests/server/core/test_authenticate.py",
    ),
    "bridge_core/protocol/keys.py": (
        "tests/protocol/test_keys.py",
        "tests/server/core/test_values.py",
        "tests/protocol/test_vectors.py",
        "tests/protocol/test_contract.py",
        "tests/server/core/test_authenticate.py",
    ),
    "bridge_core/protocol/deadline.py": (
        "tests/protocol/test_deadline.py",
        "tests/client/test_life.py",
    ),
    "bridge_core/protocol/chain.py": (
        "tests/protocol/test_chain.py",
        "tests/server/core/test_values.py",
        "tests/protocol/test_vectors.py",
    ),
    "bridge_server/core/gate.py": (
        "tests/server/core/test_gate.py",
        "tests/server/core/test_gate_lanes.py",
        "tests/server/core/test_authenticate.py",
        "tests/server/core/test_lingering_causes.py",
        "tests/server/core/test_values.py",
    ),
    "bridge_server/core/orders.py": (
        "tests/server/core/test_orders.py",
        "tests/server/core/test_values.py",
        "tests/server/test_flight.py",
        "tests/test_protocol_md.py",
    ),
    "bridge_server/core/trading_state.py": (
        "tests/server/core/test_trading_state.py",
        "tests/server/core/test_lingering_causes.py",
        "tests/server/core/test_values.py",
        "tests/server/core/test_gate_lanes.py",
        "tests/test_protocol_md.py",
    ),
    "bridge_server/core/replay.py": ("tests/server/core/test_replay.py",),
    "bridge_server/core/reconcile.py": (
        "tests/server/core/test_reconcile.py",
        "tests/server/core/test_reconcile_facts.py",
        "tests/server/core/test_reconcile_whole.py",
        "tests/server/core/test_values.py",
    ),
    "bridge_server/journal.py": (
        "tests/server/test_journal.py",
        "tests/server/test_journal_records.py",
        "tests/server/test_record.py",
        "tests/server/test_flight.py",
    ),
    "bridge_client/life.py": ("tests/client/test_life_steps.py", "tests/client/test_life.py"),
}
